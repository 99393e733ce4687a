"""Packaging: `pip install .` installs the packages, the four entry points and the flagfiles.

Packages and modules are named here, not discovered, so that a stray folder never becomes part of a
wheel; tests/test_packaging.py fails when the tree and these lists differ. `configs` holds no code:
its flagfiles are installed beside `common`, where they lie in a clone too, so that one rule finds
them in both.
"""

from setuptools import setup

setup(
    name="zoom-to-inpaint-hifill",
    version="0.1.0",
    description="Zoom-to-Inpaint (CVPRW 2022) and HiFill (CVPR 2020) in TensorFlow 2 and Keras",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
    python_requires=">=3.9",
    packages=[
        *("benchmarks", "configs", "hifill", "zoom_to_inpaint", "inpainting", "inpainting.serve"),
        *("common", "common.data", "common.filling", "common.images", "common.masks"),
        *("common.models", "common.scoring", "common.training"),
        *("studies", "studies.evidence", "studies.hifill", "studies.kit", "studies.publish"),
        *("studies.user_study", "studies.zoom"),
    ],
    py_modules=["evaluate", "export", "inpaint", "painters", "train"],
    package_data={
        "configs": ["**/*"],
        "hifill": ["weights/*"],
        "inpainting.serve": ["page/*"],
        "studies.publish": ["*.j2"],
        "studies.user_study": ["*.j2", "*.js"],
        "zoom_to_inpaint": ["weights/*"],
    },
    install_requires=[
        "tensorflow>=2.15.1,<3",
        "tensorboard>=2.15",  # tf.summary writes through it
        "setuptools>=64,<81",  # TensorBoard 2.15 imports pkg_resources
        "absl-py>=1.4",
        "lazy_loader>=0.2",  # scikit-image brings it along
        "numpy>=1.23.5",
        "opencv-python-headless>=4.8",
        "Pillow>=9.4",
        "scikit-image>=0.21",
        "scipy>=1.10",
        "tqdm>=4.64",
    ],
    extras_require={
        # The last TensorFlow that TensorFlow Addons works with: Keras 2, Python 3.9 to 3.11.
        "addons": ["tensorflow==2.15.1", "tensorflow-addons==0.23.0"],
        # The plots and the HTML of studies/.
        "studies": ["jinja2>=3.1", "matplotlib>=3.7"],
        # The page and the HTTP interface of inpainting/serve/.
        "web": ["starlette>=0.40", "uvicorn>=0.30", "python-multipart>=0.0.18"],
        # PatchMatch beside HiFill (H Figure 7); that study says so where it is missing.
        "patchmatch": ["patchmatch-cython>=0.2.1; python_version >= '3.10'"],
        # One exact version: another linter finds other faults.
        "lint": ["ruff==0.17.5"],
        # setuptools and wheel build the wheel that the tests look into. setuptools 82 dropped
        # pkg_resources, which the TensorBoard of the addons environment imports.
        # POT: an independent Fréchet distance. httpx: Starlette's TestClient needs it.
        "test": ["pytest>=8", "pytest-xdist>=3.6", "POT>=0.9.3", "wheel", "httpx>=0.27"],
        # `make test-browser` steers Chromium with it.
        "browser": ["selenium>=4.20"],
    },
)
