"""A TESCAN instrument that exists in memory only: its habits, with the simulator's physics behind them."""
