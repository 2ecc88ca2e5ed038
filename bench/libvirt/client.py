"""A client of libvirtd that times its own calls: `client.py URI`, one JSON request a line in, one JSON answer a line out.

Request: {"do": "start", "name": …}, {"do": "define", "xml": …}, … An answer of a timed call is {"reply": ms} and, where the
call causes a lifecycle event, {"event": ms, "at": seconds since 1970}: when the callback of a second connection was called.
A block job's time runs until it has ended.
Errors: {"error": text}. When standard input ends, so does the client.
"""

import json
import sys
import threading
import time

import libvirt

STATS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_VCPU
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
EVENT_OF = {
    "start": libvirt.VIR_DOMAIN_EVENT_STARTED,
    "suspend": libvirt.VIR_DOMAIN_EVENT_SUSPENDED,
    "resume": libvirt.VIR_DOMAIN_EVENT_RESUMED,
    "destroy": libvirt.VIR_DOMAIN_EVENT_STOPPED,
}
READY = 3  # VIR_DOMAIN_BLOCK_JOB_READY
PATIENCE_S = 10


class Events:
    """Lifecycle and block job events of all domains, with the time each one arrived."""

    def __init__(self, uri):
        self.seen = []
        self.changed = threading.Condition()
        self.connection = libvirt.open(uri)
        self.connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self.take, None)
        self.connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, self.take_block_job, None)

    def take(self, _connection, domain, event, _detail, _opaque):
        arrived = (time.monotonic(), time.time())
        with self.changed:
            self.seen.append((domain.name(), event, arrived))
            self.changed.notify()

    def take_block_job(self, connection, domain, _disk, _type, status, _opaque):
        self.take(connection, domain, f"block job {status}", None, None)

    def forget(self):
        with self.changed:
            self.seen.clear()

    def wait(self, name, event):
        def arrival():
            return next((at for n, e, at in self.seen if n == name and e == event), None)

        with self.changed:
            if not self.changed.wait_for(arrival, PATIENCE_S):
                raise RuntimeError(f"no event {event} of domain {name} within {PATIENCE_S} s")
            return arrival()


def turn_event_loop():
    while True:
        libvirt.virEventRunDefaultImpl()


def timed(call):
    began = time.monotonic()
    result = call()
    return (time.monotonic() - began) * 1000, result


class Client:
    def __init__(self, uri):
        libvirt.virEventRegisterDefaultImpl()
        threading.Thread(target=turn_event_loop, daemon=True).start()
        self.connection = libvirt.open(uri)
        self.events = Events(uri)
        self.domains = {}
        self.pools = {}
        self.others = {}

    def define(self, xml):
        ms, domain = timed(lambda: self.connection.defineXML(xml))
        self.domains[domain.name()] = domain
        return {"name": domain.name(), "reply": ms}

    def dump(self, name):
        ms, _ = timed(lambda: self.domains[name].XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        return {"reply": ms}

    def undefine(self, name):
        self.domains.pop(name).undefine()
        return {}

    def change(self, what, name):
        domain = self.domains[name]
        call = {"start": domain.create, "suspend": domain.suspend, "resume": domain.resume, "destroy": domain.destroy}
        self.events.forget()
        began = time.monotonic()
        call[what]()
        reply = time.monotonic() - began
        arrived, at = self.events.wait(name, EVENT_OF[what])
        return {"reply": reply * 1000, "event": (arrived - began) * 1000, "at": at}

    def list(self):
        ms, found = timed(lambda: self.connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE))
        return {"reply": ms, "count": len(found)}

    def stats(self):
        active = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
        ms, found = timed(lambda: self.connection.getAllDomainStats(STATS, active))
        return {"reply": ms, "count": len(found)}

    def snapshot(self, name, xml):
        flags = (
            libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
            | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
            | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
        )
        ms, _ = timed(lambda: self.domains[name].snapshotCreateXML(xml, flags))
        return {"reply": ms}

    def migrate(self, name, to):
        """To the daemon at another URI: the guest, and its definition with it."""
        if to not in self.others:
            self.others[to] = libvirt.open(to)
        flags = (
            libvirt.VIR_MIGRATE_LIVE
            | libvirt.VIR_MIGRATE_UNSAFE
            | libvirt.VIR_MIGRATE_PERSIST_DEST
            | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        )
        params = {libvirt.VIR_MIGRATE_PARAM_URI: "tcp://127.0.0.1"}
        ms, self.domains[name] = timed(lambda: self.domains[name].migrate3(self.others[to], params, flags))
        return {"reply": ms}

    def commit(self, name, disk):
        """The active image into the one below, and over to that."""
        domain = self.domains[name]

        def commit_and_pivot():
            flags = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | libvirt.VIR_DOMAIN_BLOCK_COMMIT_SHALLOW
            domain.blockCommit(disk, None, None, 0, flags)
            self.events.wait(name, f"block job {READY}")
            domain.blockJobAbort(disk, libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)

        self.events.forget()
        ms, _ = timed(commit_and_pivot)
        return {"reply": ms}

    def pool_create(self, xml):
        pool = self.connection.storagePoolCreateXML(xml)
        self.pools[pool.name()] = pool
        return {"count": pool.numOfVolumes()}

    def pool_refresh(self, name):
        ms, _ = timed(lambda: self.pools[name].refresh())
        return {"reply": ms}

    def pool_destroy(self, name):
        self.pools.pop(name).destroy()
        return {}

    def answer(self, request):
        what = request.pop("do")
        if what in EVENT_OF:
            return self.change(what, **request)
        calls = {
            "define": self.define,
            "dump": self.dump,
            "undefine": self.undefine,
            "list": self.list,
            "stats": self.stats,
            "snapshot": self.snapshot,
            "commit": self.commit,
            "migrate": self.migrate,
            "pool-create": self.pool_create,
            "pool-refresh": self.pool_refresh,
            "pool-destroy": self.pool_destroy,
        }
        return calls[what](**request)


def main():
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    client = Client(sys.argv[1])
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        try:
            answer = client.answer(json.loads(line))
        except Exception as error:  # whatever it is, the benchmark tells it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
