"""What a driver must do, as tests that every driver package can run on itself (docs/writing-a-driver.md).

The tests are `tests/contract` of a checkout and ``fibsem_runtime.contract.suite`` of an installed copy. Needs pytest.
"""
