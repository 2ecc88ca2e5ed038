/** One operation asked of a driver, whose process may be another one, or none, before it has answered. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  driverAnswer,
  driverSubject,
  isVirtError,
  VirtError,
  type Contract,
  type DriverContract,
} from '@virtbus/shared';
import { callDriver, decode, encode, exchange, type Bus, type Call } from '@virtbus/shared/bus';
import type { z } from 'zod';
import { onBehalf, type Fleet } from './fleet';
import type { At } from './hosts';

/** Between two looks whether a driver is still heard, milliseconds. */
const lookMs = 2_000;
/** Between two questions what became of a command, milliseconds. */
const againMs = 1_000;
/**
 * Times that the same is found until it is believed: a command that nobody knows may be just coming in; a host that was cut off
 * for a moment comes back, and its answer with it.
 */
const believedAfter = { unknown: 2, absent: 60 } as const;

/** The domain that is asked about. */
interface Subject {
  uuid: string;
  epoch?: number;
  left?: boolean;
}

/** The process that had a command is gone, and the next one does not know it: what is not there now will not come of it. */
export class DiedOver extends VirtError<'OPERATION_TIMEOUT'> {
  constructor(at: At) {
    super('OPERATION_TIMEOUT', outcomeUnknown(at, startedAgain));
  }
}

type Asked = Pick<Contract, 'kind' | 'operation'>;

export async function ask(fleet: Fleet, c: Asked, call: Call, at: At, home?: Subject): Promise<Uint8Array> {
  if (!home) return exchanged(fleet, c, call, at);
  using watched = new Watched(fleet.hosts, at);
  const other = async (): Promise<Uint8Array> => {
    await watched.lost;
    return c.kind === 'cmd' ? whatBecame(fleet, call, at, home, watched) : exchanged(fleet, c, call, at, home);
  };
  return await Promise.race([exchanged(fleet, c, call, at, home), other()]);
}

/** What a driver does for a command of ours that is not its own, under the command's id. */
export async function askFor<Req extends z.ZodType, Res extends z.ZodType>(
  fleet: Fleet,
  { operation }: DriverContract<Req, Res>,
  request: z.input<Req>,
  call: Call,
  at: At,
  subject: Subject,
): Promise<z.output<Res>> {
  const own: Call = { ...call, body: encode(request, 'msgpack'), format: 'msgpack' };
  return decode(await ask(fleet, { kind: 'cmd', operation }, own, at, subject)) as z.output<Res>;
}

async function exchanged({ bus }: Fleet, c: Asked, call: Call, at: At, home?: Subject): Promise<Uint8Array> {
  const subject = driverSubject(at.host, at.driver, c.operation);
  // What has left is at no epoch; its host only looks its answers up.
  const context = onBehalf(call, home && { uuid: home.uuid, ...(home.left ? {} : { epoch: home.epoch }) });
  const { body } = await exchange(bus, subject, call.body, context, () => {
    return new VirtError('HOST_OFFLINE', { host: at.host, service: serviceOf(at) });
  });
  return body;
}

const serviceOf = ({ driver }: At): string => `driver-${driver}`;

/** The process that a call went to, by what is heard of its host; watched while this is held. Every call has one: it is cheap. */
class Watched implements Disposable {
  /** It is another one by now. */
  restarted = false;
  /** Resolves when it may be gone: it was started again, or is not heard for a while. */
  readonly lost: Promise<void>;
  private over = false;
  private readonly restart;
  private readonly looking: NodeJS.Timeout;

  constructor(hosts: Fleet['hosts'], at: At) {
    let tell = (): void => undefined;
    this.lost = new Promise((resolve) => (tell = resolve));
    this.restart = hosts.nextRestart(at);
    void this.restart.heard.then(() => {
      this.restarted = true;
      tell();
    });
    this.looking = setInterval(() => !hosts.isOnline(at) && tell(), lookMs).unref();
  }

  /** Rejects when nobody watches any more. */
  async pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { ref: false });
    if (this.over) throw new Error('nobody waits for it');
  }

  [Symbol.dispose](): void {
    this.over = true;
    clearInterval(this.looking);
    this.restart[Symbol.dispose]();
  }
}

/**
 * A command that its driver died over is not sent again: what was done half may be done twice. The next process finds out how
 * far it came, and answers for it or does not know.
 */
async function whatBecame(
  { bus }: Fleet,
  call: Call,
  at: At,
  { uuid }: Subject,
  watched: Watched,
): Promise<Uint8Array> {
  const times = { unknown: 0, absent: 0 };
  for (;;) {
    const found = await look(bus, call, at, uuid);
    if (found?.error) throw VirtError.fromBody(found.error);
    if (found?.state === 'answered') return encode(found.response, call.format);
    times.unknown = watched.restarted && found?.state === 'unknown' ? times.unknown + 1 : 0;
    times.absent = found?.state === 'absent' ? times.absent + 1 : 0;
    if (times.unknown === believedAfter.unknown) throw new DiedOver(at);
    if (times.absent === believedAfter.absent) throw new VirtError('OPERATION_TIMEOUT', outcomeUnknown(at, notThere));
    await watched.pause(againMs);
  }
}

type Became = z.output<typeof driverAnswer.response>;

/** Undefined where it does not say. */
async function look(
  bus: Bus,
  call: Call,
  at: At,
  uuid: string,
): Promise<(Omit<Became, 'state'> & { state: Became['state'] | 'absent' }) | undefined> {
  try {
    const context = { domain: uuid, timeoutMs: Math.min(onBehalf(call).timeoutMs, driverAnswer.timeoutMs) };
    return await callDriver(bus, at, driverAnswer, { command: call.id }, context);
  } catch (error) {
    return isVirtError(error, 'HOST_OFFLINE') ? { state: 'absent' } : undefined;
  }
}

const startedAgain =
  'was started again over it and does not know how far it came; look at the domain, and give the command again where it was not done';
const notThere = 'does not answer any more; it may have been done: look at the domain when the driver is back';

const outcomeUnknown = (at: At, what: string) => ({ detail: `${serviceOf(at)} on host '${at.host}' ${what}` });
