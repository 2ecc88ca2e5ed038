/** Threads that serve devices: their objects, and which queues of a device each one serves. */
import type { Disk } from '../elements/disk';
import type { Domain } from '../elements/domain';
import type { ObjectProps } from './context';
import { props, type JsonValue } from './props';

type IoThread = NonNullable<Domain['iothreadids']>['iothreads'][number];

export function iothreadObject({ id, poll, ...pool }: IoThread): ObjectProps {
  return props(
    { 'qom-type': 'iothread', id: `iothread${id}` },
    {
      'poll-max-ns': poll?.max,
      'poll-grow': poll?.grow,
      'poll-shrink': poll?.shrink,
      'thread-pool-min': pool.thread_pool_min,
      'thread-pool-max': pool.thread_pool_max,
    },
  ) as ObjectProps;
}

/** All I/O threads of a domain: those with an id of their own, and as many more as `<iothreads>` counts. */
export function iothreadsOf({ iothreads, iothreadids }: Domain): IoThread[] {
  const list = [...(iothreadids?.iothreads ?? [])];
  const used = new Set(list.map(({ id }) => id));
  for (let id = 1; list.length < (iothreads ?? 0); id++) if (!used.has(id)) list.push({ id });
  return list;
}

export function iothreadMapping(mapping: NonNullable<Disk['driver']>['iothreads']): JsonValue | undefined {
  return mapping?.iothread.map(({ id, queue }) => ({
    iothread: `iothread${id}`,
    ...(queue.length > 0 && { vqs: queue.map((one) => one.id) }),
  }));
}
