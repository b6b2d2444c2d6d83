# tidegate as a container, to drive load from Cloud Run jobs, Compute Engine or a laptop. Build from this folder:
#
#   docker build -t tidegate .
#   docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" tidegate run scenarios/shopping.yaml --target https://…
#
# The compiler is that of rust-toolchain.toml, the crates are those of Cargo.lock. The image's bytes are
# those of its digest, which some ten public projects name for this tag (read 2026-11-30; it was not pulled here). For another:
# --build-arg BUILDER=rust:1.95.0-slim-bookworm@sha256:… as `docker buildx imagetools inspect` shows it.
ARG BUILDER=rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
FROM ${BUILDER} AS build
# What the image brings is what is used; besides the crates only the certificates that https is checked with.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends ca-certificates
WORKDIR /source
COPY . .
RUN cargo build --locked --profile dist --bin tidegate \
 && sh target-service/deploy/rootfs.sh target/dist/tidegate /rootfs /etc/ssl/certs/ca-certificates.crt

FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
# Scenarios are read from here and reports are written here: mount a folder.
WORKDIR /work
ENTRYPOINT ["/tidegate"]
CMD ["--help"]
