/** A platform of containers that is hurt under the hands of a client: replaced, killed, paused and cut off, each in turn. */
import { setTimeout as sleep } from 'node:timers/promises';
import { listMigrations } from '@virtbus/shared';
import { call } from '@virtbus/shared/bus';
import { eventually, isAlive, ProcessLog } from '@virtbus/testkit';
import { PatientClient } from '../../chaos/patient-client';
import { needsEngine } from '../engine';
import { copies, servers } from '../platform';
import { ContainersStand } from '../stand';
import { SteadyClient } from '../steady-client';

const needs = needsEngine();
const minutes = 60_000;
/** As in the rounds of `npm run chaos -- cluster`. */
const pausedMs = 4_000;

let stand: ContainersStand;
beforeAll(async () => {
  if (!needs.met) return;
  stand = await ContainersStand.start();
  await stand.populate();
}, 15 * minutes);
afterAll(() => stand?.[Symbol.asyncDispose](), 3 * minutes);

/** Every command that was answered has happened once, in the order of the answers, and the log tells so once. */
async function agrees(client: SteadyClient): Promise<void> {
  expect(client.failures).toEqual([]);
  const expected = client.acknowledged;
  const told = async () => (await client.told()).map(({ type, commandId }) => ({ id: commandId, type }));
  await eventually(async () => (await told()).length >= expected.length, true, { timeoutMs: 30_000, intervalMs: 500 });
  expect(await told()).toEqual(expected);
}

const patient = () => {
  const log = new ProcessLog('client');
  const client = new PatientClient(stand.bus, stand.guest.uuid, ({ message }) =>
    log.append(`${new Date().toISOString()} ${message}\n`),
  );
  return SteadyClient.start(stand.bus, stand.guest.uuid, (turn, id) => client.ask(turn, {}, id));
};

/** The client has been served anew since something was hurt, and the migration service answers. */
async function goesOn(client: SteadyClient): Promise<void> {
  const so = client.acknowledged.length;
  await eventually(
    () => ({ acknowledged: client.acknowledged.length, failures: client.failures }),
    ({ acknowledged }) => acknowledged > so + 4,
    { timeoutMs: 90_000 },
  );
  await eventually(
    () => call(stand.bus, listMigrations, {}, { timeoutMs: 5_000 }),
    { migrations: [] },
    { timeoutMs: 90_000 },
  );
}

needs.test(
  'no command fails while each copy of a service is replaced in turn',
  async () => {
    await using client = await SteadyClient.start(stand.bus, stand.guest.uuid, (turn, id) =>
      call(stand.bus, turn, {}, { target: stand.guest.uuid, id }),
    );
    for (const copy of copies) await stand.platform.replace(copy);
    await client.stop();
    await agrees(client);
    expect(client.acknowledged.length).toBeGreaterThan(10);
  },
  5 * minutes,
);

/** `hurt` and `heal` are docker's commands; whoever stands still does so for `forMs`, whoever is dead until others serve. */
const harms = [
  { is: 'is killed', hurt: 'kill', heal: 'start', forMs: undefined },
  { is: 'stands still for a while', hurt: 'pause', heal: 'unpause', forMs: pausedMs },
];
for (const { is, hurt, heal, forMs } of harms) {
  needs.test(
    `a command that is answered is applied once and told once, while each server and each copy ${is} in turn`,
    async () => {
      await using client = await patient();
      for (const name of [...servers, ...copies]) {
        const container = stand.platform.container(name);
        await stand.platform.docker(hurt, container);
        try {
          await (forMs === undefined ? goesOn(client) : sleep(forMs));
        } finally {
          await stand.platform.docker(heal, container);
        }
        if (forMs !== undefined) await goesOn(client);
        await stand.platform.healthy(name);
      }
      await client.stop();
      await agrees(client);
      expect(isAlive(stand.guest.pid)).toBe(true);
    },
    8 * minutes,
  );
}

needs.test(
  'a server and a copy of a service that are cut off from the others are done without, and come back',
  async () => {
    await using client = await patient();
    for (const [name, networks] of Object.entries({ 'nats-3': ['bus', 'hosts'], 'domain-1': ['bus'] })) {
      await stand.platform.cut([name], networks);
      try {
        await goesOn(client);
      } finally {
        await stand.platform.join([name], networks);
      }
      await stand.platform.healthy(name);
      await goesOn(client);
    }
    await client.stop();
    await agrees(client);
  },
  5 * minutes,
);

needs.test(
  'a host that is cut off harms no guest, is told offline, and tells afterwards what happened meanwhile',
  async () => {
    const offline = async () => (await stand.platform.virtbus('hosts')).includes(' offline ');
    stand.platform.partHost();
    try {
      await eventually(offline, true, { timeoutMs: 60_000, intervalMs: 1_000 });
      expect(isAlive(stand.guest.pid)).toBe(true);
      process.kill(stand.guest.pid, 'SIGKILL');
    } finally {
      stand.platform.healHost();
    }
    await eventually(offline, false, { timeoutMs: 60_000, intervalMs: 1_000 });
    stand.bus = await stand.platform.connect();
    await eventually(() => stand.state('tiny'), 'shutoff', { timeoutMs: 60_000 });
    const told = (): Promise<string> => stand.platform.virtbus('events', '--since', 'all', '--domain', 'tiny');
    await eventually(told, (events) => events.includes('stopped (failed)'), { intervalMs: 500 });
    await eventually(
      () => stand.platform.virtbus('verify'),
      () => true,
      { intervalMs: 500 },
    );
    await stand.platform.virtbus('destroy', 'c1');
  },
  5 * minutes,
);
