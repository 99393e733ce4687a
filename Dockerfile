# The page of `inpaint serve` in a container: docs/serving.md has the two commands.
FROM python:3.12-slim

# The versions that the tests use.
COPY requirements/current.txt /source/requirements/
COPY setup.py pyproject.toml LICENSE /source/
COPY common /source/common
COPY configs /source/configs
COPY docs/models /source/docs/models
COPY hifill /source/hifill
COPY inpainting /source/inpainting
COPY zoom_to_inpaint /source/zoom_to_inpaint
RUN pip install --no-cache-dir --constraint /source/requirements/current.txt "/source[web]" \
    && rm -rf /source \
    && useradd --create-home inpaint

USER inpaint
WORKDIR /home/inpaint
ENV TF_CPP_MIN_LOG_LEVEL=2
EXPOSE 8080
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health')"]
# At 127.0.0.1 nobody outside the container would reach it. Flags of `docker run` follow.
ENTRYPOINT ["inpaint", "serve", "--host=0.0.0.0"]
