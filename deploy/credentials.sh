#!/bin/sh
# Makes what the containers of docker-compose.yml connect with, into their volumes: the keys of the bus, its servers'
# configurations with certificates of a private authority, and credentials for the services, this host, and an admin.
# What is there is kept, and handed out as it is now. /authority is nobody's but this container's.
set -eu
umask 077
bus=/authority/bus
host=${VIRTBUS_HOST:?}

# A server listens on the port under which it is published: it has one address, inside and outside.
server() { echo "nats-$1=nats-$1.virtbus:$2:6222"; }
[ -e $bus/authority.json ] ||
  virtbus auth-init $bus --tls --config-dir /data/config --store-dir /data/store --monitor-port 8222 \
    --servers "$(server 1 "${VIRTBUS_NATS_PORT_1:?}"),$(server 2 "${VIRTBUS_NATS_PORT_2:?}"),$(server 3 "${VIRTBUS_NATS_PORT_3:?}")"
[ -e "$bus/host-$host.json" ] || virtbus auth-add --role host --host "$host" --folder $bus

for server in nats-1 nats-2 nats-3; do
  mkdir -p /nats/$server/config /nats/$server/store
  cp $bus/servers/$server/* /nats/$server/config/
  chown -R virtbus: /nats/$server/config
  chown virtbus: /nats/$server /nats/$server/store
done
cp $bus/service.json /service/
cp $bus/admin.json /admin/
cp "$bus/host-$host.json" /host/host.json
chown -R virtbus: /service /admin
