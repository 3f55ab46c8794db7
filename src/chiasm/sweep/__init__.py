"""Settings over lists or ranges -> runs -> one table; any number of workers share a sweep through its folder.

What describes and reads a sweep needs nothing beside chiasm. To run one, chiasm.sweep.sweep, takes the extra `sweep`.
"""

from chiasm.sweep.space import Range, Space

__all__ = ["Range", "Space"]
