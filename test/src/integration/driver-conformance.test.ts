/** What every driver does alike, run against each: lifecycle, events, commands given twice, illegal states, adoption, hangs. */
import {
  createDomain,
  defineDomain,
  destroyDomain,
  getDomain,
  getMetadata,
  listDomains,
  renameDomain,
  resumeDomain,
  rebootDomain,
  setAutostart,
  setMetadata,
  shutdownDomain,
  startDomain,
  statsOfDomain,
  suspendDomain,
  undefineDomain,
  type Contract,
  type DomainSummary,
} from '@virtbus/shared';
import { call, newId, type Bus } from '@virtbus/shared/bus';
import { eventually, type Stack } from '@virtbus/testkit';
import { subjects } from './driver-subject';

describe.each(subjects.map((subject) => [subject.driver, subject] as const))('driver %s', (_name, subject) => {
  let stack: Stack;
  let bus: Bus;

  beforeAll(async () => {
    if (!subject.needs.met) return;
    stack = await subject.start();
    bus = await stack.connect();
  }, 60_000);
  afterAll(async () => stack?.[Symbol.asyncDispose](), 60_000);

  const define = async (name: string, more?: string): Promise<DomainSummary> =>
    (await call(bus, defineDomain, { xml: await subject.document(stack, name, more) })).domain;
  const run = async (name: string): Promise<string> => {
    const { uuid } = await define(name);
    await call(bus, startDomain, {}, { target: uuid });
    return uuid;
  };
  const state = (uuid: string): Promise<string> => stack.state(bus, uuid);
  const told = async (uuid: string): Promise<string[]> =>
    (await stack.events(bus, uuid))
      .filter((event) => event.class === 'lifecycle')
      .map(({ type, detail }) => `${type}(${detail})`);
  const refusal = async (contract: Contract, request: Record<string, unknown>, target: string): Promise<string> =>
    call(bus, contract, request, { target, timeoutMs: 10_000 }).then(
      () => 'done',
      (error: { code?: string; message: string }) => `${error.code}: ${error.message}`,
    );
  const end = (uuid: string): Promise<unknown> => call(bus, destroyDomain, {}, { target: uuid });

  const { needs } = subject;

  needs.test(
    'a life from define to undefine is told in order, each step by the command that brought it about',
    async () => {
      const { uuid, driver } = await define('life');
      expect(driver).toBe(subject.driver);
      const ids = new Map<string, string>();
      for (const contract of [startDomain, suspendDomain, resumeDomain, destroyDomain, undefineDomain]) {
        const id = newId();
        ids.set(id, contract.operation);
        await call(bus, contract as Contract, {}, { target: uuid, id });
      }
      const events = (await stack.events(bus, uuid)).filter((event) => event.class === 'lifecycle');
      expect(events.map(({ type, detail, commandId }) => [`${type}(${detail})`, ids.get(commandId ?? '')])).toEqual([
        ['defined(added)', undefined],
        ['resumed(unpaused)', 'start'],
        ['started(booted)', 'start'],
        ['suspended(paused)', 'suspend'],
        ['resumed(unpaused)', 'resume'],
        ['stopped(destroyed)', 'destroy'],
        ['undefined(removed)', 'undefine'],
      ]);
      const revisions = events.map(({ domain }) => domain.revision);
      expect(revisions).toEqual([...revisions].sort((a, b) => a - b));
      expect(await refusal(getDomain, {}, uuid)).toMatch('DOMAIN_NOT_FOUND');
    },
    60_000,
  );

  needs.test(
    'a guest can be started paused, and runs when it is resumed',
    async () => {
      const { uuid } = await define('still');
      await call(bus, startDomain, { paused: true }, { target: uuid });
      expect(await state(uuid)).toBe('paused(user)');
      await call(bus, resumeDomain, {}, { target: uuid });
      expect(await state(uuid)).toBe('running(unpaused)');
      expect((await told(uuid)).slice(1)).toEqual(['started(booted)', 'suspended(paused)', 'resumed(unpaused)']);
      await end(uuid);
    },
    60_000,
  );

  needs.test(
    'a command given twice is applied once and answered alike',
    async () => {
      const { uuid } = await define('twice');
      const id = newId();
      const first = await call(bus, startDomain, {}, { target: uuid, id });
      expect(await call(bus, startDomain, {}, { target: uuid, id })).toEqual(first);
      expect((await told(uuid)).filter((one) => one === 'started(booted)')).toHaveLength(1);
      await end(uuid);
    },
    60_000,
  );

  needs.test(
    'what a state forbids is refused with the reason, and changes nothing',
    async () => {
      const { uuid } = await define('states');
      for (const contract of [destroyDomain, suspendDomain, resumeDomain, shutdownDomain, rebootDomain]) {
        expect(await refusal(contract as Contract, {}, uuid)).toMatch(/^OPERATION_INVALID: .*domain is not running/);
      }
      await call(bus, startDomain, {}, { target: uuid });
      expect(await refusal(startDomain, {}, uuid)).toMatch(/^OPERATION_INVALID: .*already running/);
      expect(await refusal(resumeDomain, {}, uuid)).toMatch(/^OPERATION_INVALID: .*already running/);
      expect(await refusal(renameDomain, { name: 'other' }, uuid)).toMatch(/^OPERATION_INVALID/);
      await call(bus, suspendDomain, {}, { target: uuid });
      await call(bus, suspendDomain, {}, { target: uuid });
      expect(await refusal(shutdownDomain, {}, uuid)).toMatch(/^OPERATION_INVALID/);
      expect(await state(uuid)).toBe('paused(user)');
      await end(uuid);
    },
    60_000,
  );

  needs.test(
    'what the driver cannot do is answered so',
    async () => {
      const uuid = await run('limits');
      for (const [contract, request] of subject.unsupported) {
        expect([contract.operation, await refusal(contract, request, uuid)]).toEqual([
          contract.operation,
          expect.stringMatching(/^UNSUPPORTED_BY_DRIVER: /),
        ]);
      }
      expect(await state(uuid)).toBe('running(booted)');
      await end(uuid);
    },
    60_000,
  );

  needs.test(
    'a transient domain vanishes with its guest',
    async () => {
      const { domain } = await call(bus, createDomain, { xml: await subject.document(stack, 'fleeting') });
      expect(domain).toMatchObject({ persistent: false, state: 'running' });
      await end(domain.uuid);
      expect((await call(bus, listDomains, { name: 'fleeting' })).domains).toEqual([]);
    },
    60_000,
  );

  needs.test(
    'a definition changed under a running guest is for the next boot',
    async () => {
      const uuid = await run('twofold');
      expect((await define('twofold', `<uuid>${uuid}</uuid><title>again</title>`)).updated).toBe(true);
      await call(bus, setMetadata, { type: 'description', value: 'now' }, { target: uuid });
      await call(bus, setAutostart, { enabled: true }, { target: uuid });
      await end(uuid);
      const { domain } = await call(bus, getDomain, {}, { target: uuid });
      expect(domain).toMatchObject({ updated: false, autostart: true, title: 'again' });
    },
    60_000,
  );

  needs.test(
    'what is said about a running guest alone stays with it while other things change',
    async () => {
      const uuid = await run('noted');
      const target = { target: uuid };
      await call(bus, setMetadata, { type: 'description', value: 'of this run', affect: 'live' }, target);
      await call(bus, suspendDomain, {}, target);
      await call(bus, resumeDomain, {}, target);
      await call(bus, setMetadata, { type: 'title', value: 'too', affect: 'live' }, target);
      const read = (type: 'title' | 'description', affect: 'live' | 'config') =>
        call(bus, getMetadata, { type, affect }, target).then(({ value }) => value);
      expect(await read('description', 'live')).toBe('of this run');
      expect(await read('title', 'live')).toBe('too');
      await expect(read('title', 'config')).rejects.toMatchObject({ code: 'NO_DOMAIN_METADATA' });
      await end(uuid);
    },
    60_000,
  );

  needs.test(
    'statistics tell of the running guest',
    async () => {
      const uuid = await run('counted');
      const tell = async () => (await call(bus, statsOfDomain, {}, { target: uuid })).stats;
      const stats = await tell();
      expect(stats.state.state).toBe('running');
      expect(stats.cpu!.timeNs).toBeGreaterThan(0);
      // The kernel brings what a cgroup's memory is used for up to date every two seconds, or after many pages.
      await eventually(
        async () => (await tell()).balloon!.rssKiB!,
        (kib) => kib > 0,
      );
      await end(uuid);
    },
    60_000,
  );

  needs.test(
    'guests outlive the driver: one is adopted as it was, the end of the other is told once',
    async () => {
      const [kept, lost, paused] = [await run('kept'), await run('lost'), await run('paused')];
      await call(bus, suspendDomain, {}, { target: paused });
      await stack.restartDriver('h1', async () => {
        subject.crash(stack, lost);
      });
      await eventually(() => state(kept), 'running(booted)');
      await eventually(() => state(paused), 'paused(user)');
      await eventually(() => state(lost), 'shutoff(crashed)');
      expect((await told(lost)).filter((one) => one.startsWith('stopped'))).toEqual(['stopped(failed)']);
      expect((await told(kept)).slice(-1)).toEqual(['started(booted)']);
      await call(bus, resumeDomain, {}, { target: paused });
      for (const uuid of [kept, paused]) await end(uuid);
      expect(await state(kept)).toBe('shutoff(destroyed)');
    },
    60_000,
  );

  needs.test(
    'a guest that hangs keeps nobody else waiting, and can be destroyed',
    async () => {
      const [hung, well] = [await run('hung'), await run('well')];
      for (const pid of subject.keepers(stack, hung)) process.kill(pid, 'SIGSTOP');
      await call(bus, suspendDomain, {}, { target: well, timeoutMs: 5_000 });
      await call(bus, resumeDomain, {}, { target: well, timeoutMs: 5_000 });
      await end(well);
      await end(hung);
      expect(await state(hung)).toBe('shutoff(destroyed)');
    },
    60_000,
  );
});
