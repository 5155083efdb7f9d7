from apps.core.epoch import Epoch
from apps.core.sealing import DataKey

__all__ = ["DataKey", "Epoch"]
