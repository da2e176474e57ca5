# syntax=docker/dockerfile:1

# hackd in a container. Its jobs run inside, as the user node, and end with the container.
#
#   docker build -t hackd .
#   docker run --init -d --name hackd -p 127.0.0.1:7788:7788 -v hackd:/var/lib/hackd -v "$PWD:/projects/shop" hackd
#   docker exec -w /projects/shop hackd hack gateway enable
#   docker exec hackd hack x gateway token-create
#
# Inside a container the listener has to bind 0.0.0.0, or nothing from outside reaches it. Publish it on the host's
# loopback, as above, and nowhere else: tokens travel in plain text.

FROM node:24-bookworm-slim AS build
RUN apt-get update \
  && apt-get install -y --no-install-recommends python3 make g++ \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/hackd
COPY . .
RUN npm ci && npm prune --omit=dev && rm -rf dist/test dist/scripts

FROM node:24-bookworm-slim
# git and procps are for the jobs; add what yours need.
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates git procps \
  && rm -rf /var/lib/apt/lists/* \
  && install -d -m 0700 -o node -g node /var/lib/hackd \
  && ln -s /opt/hackd/dist/src/main.js /usr/local/bin/hackd \
  && ln -s /opt/hackd/dist/src/cli/main.js /usr/local/bin/hack
WORKDIR /opt/hackd
COPY --from=build /opt/hackd/package.json ./
COPY --from=build /opt/hackd/node_modules ./node_modules
COPY --from=build /opt/hackd/dist ./dist
ENV NODE_ENV=production HACK_HOME=/var/lib/hackd
VOLUME /var/lib/hackd
USER node
EXPOSE 7788
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["hack", "daemon", "status"]
ENTRYPOINT ["hackd"]
CMD ["--bind", "0.0.0.0"]
