"""Packaging: `pip install .` installs the command `inpaint`, the packages and the flagfiles.

Packages are listed, not discovered, so that a wheel never contains a stray folder.
tests/test_packaging.py fails if the lists and the folders differ. studies/, benchmarks/ and the
scripts are in a clone only. The flagfiles of `configs` and the cards of
the shipped weights are installed below `common`.
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
        *("common", "common.configs", "common.data", "common.filling", "common.images"),
        *(
            "common.masks",
            "common.model_cards",
            "common.models",
            "common.scoring",
            "common.training",
        ),
        *("hifill", "inpainting", "inpainting.bulk", "inpainting.serve", "zoom_to_inpaint"),
    ],
    # A top-level name such as `configs` would collide with other people's.
    package_dir={"common.configs": "configs", "common.model_cards": "docs/models"},
    package_data={
        "common": ["page.css"],
        "common.configs": ["**/*.cfg"],
        "common.model_cards": ["*"],
        "common.scoring": ["*.j2"],
        "hifill": ["shipped_network_*.zip", "weights/*"],
        "inpainting.serve": ["openapi.json", "page/*"],
        "zoom_to_inpaint": ["weights/*"],
    },
    entry_points={"console_scripts": ["inpaint = inpainting.command:main"]},
    install_requires=[
        "tensorflow>=2.15.1,<3",
        "tensorboard>=2.15",  # tf.summary writes through it
        "setuptools>=64,<81",  # TensorBoard 2.15 imports pkg_resources
        "absl-py>=1.4",
        "lazy_loader>=0.2",  # a dependency of scikit-image
        "numpy>=1.23.5",
        "opencv-python-headless>=4.8",
        "Pillow>=9.4",
        "safetensors>=0.4.5",
        "scikit-image>=0.21",
        "scipy>=1.10",
        "tqdm>=4.64",
    ],
    extras_require={
        # The last TensorFlow that TensorFlow Addons works with: Keras 2, Python 3.9 to 3.11.
        "addons": ["tensorflow==2.15.1", "tensorflow-addons==0.23.0"],
        # The plots and the HTML of studies/, and the HTML report of `evaluate`.
        "studies": ["jinja2>=3.1", "matplotlib>=3.7"],
        # Downloads models by name (`from_pretrained`).
        "hub": ["huggingface_hub>=0.23"],
        # The page and the HTTP interface of `inpaint serve`.
        "web": ["starlette>=0.40", "uvicorn>=0.30", "python-multipart>=0.0.18"],
        # `inpaint export --format=onnx`. onnx 1.19.0 does not say that it needs a newer ml_dtypes than TensorFlow
        # 2.15's, so pip would take it; 1.18 works there.
        "onnx": ["tf2onnx==1.17.0", "onnx>=1.17,!=1.19.0", "onnxruntime>=1.19"],
        # `inpaint export --format=litert`: TensorFlow converts, this runs the file.
        "litert": ["ai-edge-litert>=1.2"],
        # `inpaint bulk`. Ray 2.60 has no version for Python 3.9.
        "bulk": ["ray[data]>=2.60,<3; python_version >= '3.10'"],
        # `train.py --export_step`; Python 3.11. It uses parts of jax that have no promise to stay.
        "jax": ["jax[cpu]==0.10.2"],
        # The study of HiFill Figure 7 compares with PatchMatch, if it is installed.
        "patchmatch": ["patchmatch-cython>=0.2.1; python_version >= '3.10'"],
        # One exact version, since other versions report other faults.
        "lint": ["ruff==0.17.5"],
        # wheel: tests build and inspect a wheel. POT: an independent Fréchet distance. httpx: Starlette's TestClient.
        "test": [
            *("pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100"),
            *("POT>=0.9.3", "wheel", "httpx>=0.27"),
        ],
        # The documentation site (`make docs`); Python 3.10.
        "docs": ["zensical>=0.0.67", "mkdocstrings-python>=2.0"],
        # `make test-browser` controls Chromium with it.
        "browser": ["selenium>=4.20"],
    },
)
