"""The contract suite; an installed copy has it as ``fibsem_runtime.contract.suite``."""
