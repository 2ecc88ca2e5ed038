/** One guest's whole life over the bus, each step waiting for what it should bring about. */
import {
  attachDevice,
  defineDomain,
  getDomain,
  restoreDomain,
  resumeDomain,
  saveDomain,
  setMemory,
  shutdownDomain,
  startDomain,
  suspendDomain,
  undefineDomain,
  type Contract,
  type RequestInput,
} from '@virtbus/shared';
import { call, newId, type Bus } from '@virtbus/shared/bus';
import { Console } from './console';
import { EventWatch } from './event-watch';
import { replay } from './replay';

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
