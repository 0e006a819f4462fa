"""Put the bundles, which stand beside the package in the repository, inside it in a wheel: `medseg/bundles`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("LICENSE", "configs/*", "docs/*", "models/*.pt")  # what a bundle needs, and nothing that a run left


class WithBundles(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the package is found in the repository, and so are they
            return
        inside = Path(self.build_lib, "medseg", "bundles")
        shutil.rmtree(inside, ignore_errors=True)  # a build before this one
        for bundle in Path("bundles").iterdir():
            for file in (file for pattern in SHIPPED for file in bundle.glob(pattern)):
                target = inside / file.relative_to("bundles")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)


setup(cmdclass={"build_py": WithBundles})
