/** What a domain that moves is defined by where it goes. */
import { parseDomain } from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';
import { uuid, xml } from '../testing/one-host';
import { Moving } from '../testing/moving';

type Options = Parameters<typeof Moving.open>[0];

/** A guest that runs, about to move. */
async function running(options: Options, how: 'define' | 'create' = 'define'): Promise<Moving> {
  const moving = await Moving.open(options);
  await moving.from[how]();
  if (how === 'define') await moving.from.call('start');
  return moving;
}

describe('a definition for the target', () => {
  test.each([
    ['cannot be read', '<domain', /^XML_DETAIL: the definition for the target \(--persistent-xml\): /],
    ['is of another domain', xml({ uuid: '00000000-0000-4000-8000-000000000001' }), /^CONFIG_UNSUPPORTED: .*uuid is/],
    ['is of another machine', xml({ memoryKiB: 1024 }), /^CONFIG_UNSUPPORTED: .*would find other hardware.*memory/],
  ])('that %s is refused before anything is touched', async (_what, persistentXml, refusal) => {
    using moving = await running({ persistentXml });
    expect(await moving.blockers()).toEqual([expect.stringMatching(refusal)]);
    expect(await moving.refusal()).toMatch(refusal);
    expect(moving.from.state()).toBe('running(booted)');
    await moving.from.call('suspend');
  });

  test('is what the domain is defined by there, under its name and uuid', async () => {
    using moving = await running({
      persistentXml: xml({ name: 'other', title: 'given' }).replace(/<uuid>.*<\/uuid>/, ''),
    });
    await moving.performed();
    await moving.finish();
    const { config } = moving.to.host.get(uuid);
    expect(config).toMatchObject({ uuid, name: 'web1', title: 'given' });
  });

  describe('says of which format a volume is: the host that has made it alone knows', () => {
    const volume = `<disk type='volume' device='disk'><driver name='qemu'/><source pool='p' volume='a'/><target dev='vda' bus='virtio'/></disk>`;
    const described = (disk: string): string => xml().replace('</domain>', `<devices>${disk}</devices></domain>`);
    const unknown = /^CONFIG_UNSUPPORTED: .*disk vda is volume 'a' of pool 'p'.*another host would take it for raw/;

    test('the one that its guest has open', async () => {
      using moving = await running({});
      const actor = moving.from.host.get(uuid);
      actor.setConfig(parseDomain(described(volume), { mode: 'inactive' }).domain);
      const open = volume.replace("type='volume'", "type='file'").replace("'qemu'/>", "'qemu' type='qcow2'/>");
      actor.live = parseDomain(described(open.replace('<source', "<source file='/p/a'")), { mode: 'live' }).domain;
      const { definition } = await moving.begin();
      expect(definition).toMatch(/<driver name='qemu' type='qcow2'\/>\s*<source pool='p' volume='a'\/>/);
    });

    test.each(['another', 'none'])('and does not leave without when its guest has %s open', async (open) => {
      using moving = await (open === 'none' ? off({}) : running({}));
      const actor = moving.from.host.get(uuid);
      actor.setConfig(parseDomain(described(volume), { mode: 'inactive' }).domain);
      expect(await moving.blockers()).toEqual([expect.stringMatching(unknown)]);
      expect(await moving.refusal()).toMatch(unknown);
    });
  });

  test('is not taken for a transient domain, which has none', async () => {
    using moving = await running({ persistentXml: xml() }, 'create');
    const refusal = /^OPERATION_INVALID: .*'web1' is transient.*leave --persistent-xml out/;
    expect(await moving.blockers()).toEqual([expect.stringMatching(refusal)]);
    expect(await moving.refusal()).toMatch(refusal);
  });
});

/** A definition, about to move without a guest. */
async function off(options: Options): Promise<Moving> {
  const moving = await Moving.open({ live: false, offline: true, ...options });
  await moving.from.define({ title: 'old' });
  return moving;
}

describe('a domain that is off', () => {
  test('has its new name on the target, and nowhere another', async () => {
    using moving = await off({ name: 'web2' });
    await moving.performed();
    expect((await moving.finish()).phase).toBe('finished');
    await moving.confirm();
    const actor = moving.to.host.get(uuid);
    expect([actor.record.name, actor.config?.name, actor.config?.title]).toEqual(['web2', 'web2', 'old']);
    expect(moving.to.events().map(({ domain }) => domain.name)).toEqual(['web2']);
    expect(moving.from.state()).toBe('absent');
  });

  test('is told to have left also when the driver of its source dies over it', async () => {
    using moving = await off({});
    const { from } = moving;
    await moving.performed();
    await moving.finish();
    using _killed = jest.spyOn(from.host, 'journal').mockImplementationOnce(() => {
      throw new Error('killed');
    });
    await expect(moving.confirm()).rejects.toThrow('killed');
    await from.restart();
    expect((await moving.confirm()).phase).toBe('confirmed');
    expect([from.state(), from.told().at(-1)]).toEqual(['absent', 'undefined(removed) m1']);
  });

  test.each(['xml', 'persistentXml'] as const)(
    'is defined by the document that is given for it (%s)',
    async (option) => {
      using moving = await off({ [option]: xml({ title: 'new' }) });
      expect(await moving.blockers()).toEqual([]);
      await moving.performed();
      await moving.finish();
      expect(moving.to.host.get(uuid).config?.title).toBe('new');
    },
  );

  test('does not leave for a document of another machine, or for two documents', async () => {
    const another = /^CONFIG_UNSUPPORTED: the definition for the target \(--xml\): .*memory/;
    using other = await off({ xml: xml({ memoryKiB: 1024 }) });
    expect(await other.blockers()).toEqual([expect.stringMatching(another)]);
    expect(await other.refusal()).toMatch(another);
    using both = await off({ xml: xml(), persistentXml: xml() });
    expect(await both.refusal()).toMatch(/--persistent-xml or as --xml, not as both/);
  });

  test('stays where it is when the target cannot have it', async () => {
    using moving = await off({});
    moving.to.driver.before.set('prepare', () => {
      throw new VirtError('CONFIG_UNSUPPORTED', { detail: 'no such machine' });
    });
    await expect(moving.performed()).rejects.toThrow('no such machine');
    await moving.undo();
    await moving.from.call('start');
  });
});

test.each([
  ['a guest that runs', running],
  ['a domain that is off', off],
])('that it starts with its host goes along: %s', async (_what, about) => {
  using moving = await about({});
  await moving.from.call('autostart', { enabled: true });
  await moving.performed();
  await moving.finish();
  expect(moving.to.host.get(uuid).record.autostart).toBe(true);
  expect(moving.to.events().at(-1)?.domain.autostart).toBe(true);
  await moving.to.restart();
  expect(moving.to.host.get(uuid).record.autostart).toBe(true);
});
