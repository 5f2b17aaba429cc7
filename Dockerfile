# docker build -t backpain . && docker run --rm -v "$PWD/site:/site" backpain report run --out /site
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.txt ./
RUN python -m venv /opt/backpain \
    && /opt/backpain/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY . .
RUN /opt/backpain/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
COPY --from=build /opt/backpain /opt/backpain
RUN useradd --create-home --uid 1000 reader && install -d -o 1000 /site
USER 1000
WORKDIR /home/reader
ENV PATH=/opt/backpain/bin:$PATH
ENTRYPOINT ["backpain"]
CMD ["--help"]
