"""A Hydra app whose trials sleep for given times, and write down when they began and ended."""

import json
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base="1.3", config_path=".", config_name="sleepy")
def main(config):
    began = time.time()
    number = HydraConfig.get().job.num
    time.sleep(config.durations[number])
    Path(config.times, f"{number}.json").write_text(json.dumps([began, time.time()]))
    return config.x


if __name__ == "__main__":
    main()
