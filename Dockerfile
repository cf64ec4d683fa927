# Two stages: the toolchain builds, a small image without shell or package manager runs.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake g++ make && rm -rf /var/lib/apt/lists/*
WORKDIR /prism
COPY Cargo.toml Cargo.lock ./
COPY build build
COPY proto proto
COPY registry registry
COPY src src
RUN cargo build --release --locked && mkdir /data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /prism/target/release/prism /usr/local/bin/prism
COPY --from=build --chown=nonroot:nonroot /data /data
WORKDIR /data
VOLUME /data
EXPOSE 8980 8981
# The ports must be reachable from outside of the container.
ENV PRISM_LISTENERS_MAIN_ADDRESS=0.0.0.0:8980 PRISM_ADMIN_ADDRESS=0.0.0.0:8981
ENTRYPOINT ["prism"]
CMD ["serve"]
