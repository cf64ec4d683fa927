# Two stages: the toolchain builds; a small image with the one binary runs, as a user of its own.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake g++ make perl && rm -rf /var/lib/apt/lists/*
WORKDIR /prism
COPY Cargo.toml Cargo.lock ./
COPY clients/rust clients/rust
COPY crates crates
COPY tests/conformance tests/conformance
COPY tests/support tests/support
COPY proto proto
COPY registry registry
COPY frontends frontends
COPY openapi openapi
COPY examples examples
COPY src src
COPY web-demo/dist web-demo/dist
RUN cargo build --profile dist --features full --locked && mkdir /data

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --home-dir /data prism
COPY --from=build /prism/target/dist/prism /usr/local/bin/prism
COPY --from=build --chown=prism:prism /data /data
USER prism
WORKDIR /data
VOLUME /data
EXPOSE 8980 8981 8081
# The ports must be reachable from outside of the container.
# Whoever can reach the ports may use everything. Publish them to this machine only, or configure authenticators, and name them in these variables
# too: a variable overrides the file.
ENV PRISM_LISTENERS_MAIN_AUTHENTICATION=anonymous PRISM_LISTENERS_REGISTRY_AUTHENTICATION=anonymous \
    PRISM_ADMIN_AUTHENTICATION=anonymous
ENV PRISM_LISTENERS_MAIN_ADDRESS=0.0.0.0:8980 PRISM_LISTENERS_REGISTRY_ADDRESS=0.0.0.0:8081 PRISM_ADMIN_ADDRESS=0.0.0.0:8981
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8981 && printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && grep -q ' 200 ' <&3"]
ENTRYPOINT ["prism"]
CMD ["serve"]
