/** One guest's whole life over the bus, each step waiting for what it should bring about. */
import {
  attachDevice,
  restoreDomain,
  resumeDomain,
  saveDomain,
  setMemory,
  shutdownDomain,
  startDomain,
  suspendDomain,
  undefineDomain,
} from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { Console } from './console';
import { Hero, type Stage } from './hero';

export interface Life extends Stage {
  /** A raw image to plug in. */
  disk: string;
  saveFile: string;
}

export async function qemuGuestLife({ bus, say, xml, disk, saveFile }: Life): Promise<void> {
  await using hero = await Hero.define({ bus, say, xml });
  const { uuid, host, events, command, stateIs } = hero;

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
  await hero.replay();
}
