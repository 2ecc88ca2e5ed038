/** One guest's whole life over the bus, each step waiting for what it should bring about. */
import {
  attachDevice,
  defineDomain,
  eventFilter,
  getDomain,
  openConsole,
  restoreDomain,
  resumeDomain,
  saveDomain,
  setMemory,
  shutdownDomain,
  startDomain,
  suspendDomain,
  undefineDomain,
  type Contract,
  type DomainEvent,
  type RequestInput,
} from '@virtbus/shared';
import { call, clientStream, newId, tail, type Bus } from '@virtbus/shared/bus';
import { EventWatch } from './event-watch';

export interface Life {
  bus: Bus;
  say: (line: string) => void;
  xml: string;
  /** A raw image to plug in. */
  disk: string;
  saveFile: string;
}

export async function qemuGuestLife({ bus, say, xml, disk, saveFile }: Life): Promise<void> {
  const defined = await call(bus, defineDomain, { xml });
  const { uuid, name, host } = defined.domain;
  say(`defined '${name}' on host '${host}' (${uuid})`);
  await using events = await EventWatch.open(bus, uuid);
  const given = new Map<string, string>();
  const command = async <C extends Contract>(contract: C, request: RequestInput<C>): Promise<void> => {
    const id = newId();
    given.set(id, contract.operation);
    await call(bus, contract, request, { target: uuid, id });
  };
  const stateIs = async (wanted: string): Promise<void> => {
    const { domain } = await call(bus, getDomain, {}, { target: uuid });
    if (domain.state !== wanted) throw new Error(`the domain is ${domain.state}(${domain.reason}), not ${wanted}`);
  };

  await command(startDomain, {});
  await events.seen('started', 'booted');
  await stateIs('running');
  say('started; its serial console:');
  let console = await Console.open(bus, uuid);
  await console.shows('tiny-guest: booted', (line) => say(`  | ${line}`));

  await command(suspendDomain, {});
  await events.seen('suspended', 'paused');
  await stateIs('paused');
  say('suspended');
  await command(resumeDomain, {});
  await events.seen('resumed', 'unpaused');
  await stateIs('running');
  say('resumed');

  const target = `<target dev='vda' bus='virtio'/>`;
  await command(attachDevice, {
    xml: `<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${disk}'/>${target}</disk>`,
  });
  await console.shows('disk vda', (line) => say(`  | ${line}`));
  say('disk plugged in, the guest has found it');

  await command(setMemory, { kib: 98_304 });
  await events.seenClass('balloon', 'change');
  say('balloon: the guest gave memory back');

  await command(saveDomain, { path: saveFile });
  await events.seen('stopped', 'saved');
  await stateIs('shutoff');
  say('saved');
  await call(bus, restoreDomain, { host, path: saveFile });
  await events.seen('started', 'restored');
  await stateIs('running');
  console = await Console.open(bus, uuid);
  await console.answers('echo back-$((20+3))', 'back-23');
  say('restored; its shell answers');

  await command(shutdownDomain, {});
  await events.seen('shutdown', 'guest');
  await events.seen('stopped', 'shutdown');
  await stateIs('shutoff');
  say('shut down');
  await command(undefineDomain, {});
  await events.seen('undefined', 'removed');
  say('undefined. The log, as replayed from the stream:');
  await replay(bus, uuid, given, say);
}

/** Print the log, and check that revisions rise and that our commands are named as causes. */
async function replay(bus: Bus, uuid: string, given: Map<string, string>, say: (line: string) => void): Promise<void> {
  let revision = 0;
  const causes = new Set<string>();
  for await (const { event, sequence } of tail(bus, { filter: eventFilter({ uuid }), since: 'all', once: true })) {
    if (event.domain.revision <= revision) throw new Error(`revision ${event.domain.revision} after ${revision}`);
    revision = event.domain.revision;
    if (event.commandId) causes.add(event.commandId);
    say(
      `  ${String(sequence).padStart(3)}  r${String(revision).padEnd(3)} ${nameOf(event).padEnd(28)} ${given.get(event.commandId ?? '') ?? ''}`,
    );
  }
  const silent = [...given].filter(([id]) => !causes.has(id)).map(([, operation]) => operation);
  if (silent.length > 0) throw new Error(`no event names the command ${silent.join(', ')} as its cause`);
}

const nameOf = (event: DomainEvent): string =>
  `${event.class} ${event.type}${event.detail ? ` (${event.detail})` : ''}`;

const patienceMs = 120_000;

/** The guest's console, read line by line. */
class Console {
  private text = '';
  private waiting: (() => void)[] = [];
  private constructor(private readonly write: (bytes: Uint8Array) => Promise<void>) {}

  static async open(bus: Bus, uuid: string): Promise<Console> {
    const session = newId();
    const decoder = new TextDecoder();
    const stream = clientStream(bus, session, (bytes) => console.take(decoder.decode(bytes, { stream: true })));
    const console = new Console((bytes) => stream.write(bytes));
    const { input } = await call(bus, openConsole, { session, force: true }, { target: uuid });
    stream.connect(input);
    return console;
  }

  /** Wait for a line with these words, passing on each line until then. */
  async shows(words: string, each: (line: string) => void): Promise<void> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      for (let end = this.text.indexOf('\n'); end >= 0; end = this.text.indexOf('\n')) {
        const line = this.text.slice(0, end).replaceAll(/[\x00-\x08\x0b-\x1f]/g, '');
        this.text = this.text.slice(end + 1);
        if (line.trim()) each(line);
        if (line.includes(words)) return;
      }
      await this.more(deadline, words);
    }
  }

  /** Type a line, again if need be, until the answer is there. */
  async answers(line: string, words: string): Promise<void> {
    const deadline = Date.now() + patienceMs;
    await this.write(new TextEncoder().encode(`${line}\n`));
    while (!this.text.includes(words)) await this.more(deadline, words);
    this.text = '';
  }

  private take(text: string): void {
    this.text += text;
    const waiting = this.waiting;
    this.waiting = [];
    for (const go of waiting) go();
  }

  private more(deadline: number, words: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`the console did not show '${words}'; last: ${this.text.slice(-200)}`)),
        deadline - Date.now(),
      );
      this.waiting.push(() => (clearTimeout(timer), resolve()));
    });
  }
}
