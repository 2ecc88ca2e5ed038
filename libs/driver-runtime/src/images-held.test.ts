import { parseDomain, type Domain } from '@virtbus/domain-xml';
import { forgetLeft, restand } from './images-held';
import type { DomainRecord, HeldDisks } from './record';
import { xml } from './testing/one-host';

const domain = (...targets: string[]): Domain => {
  const disks = targets.map(
    (target) => `<disk type='file'><source file='/${target}'/><target dev='${target}'/></disk>`,
  );
  return parseDomain(xml().replace('</domain>', `<devices>${disks.join('')}</devices></domain>`), {
    mode: 'inactive',
    unknown: 'refuse',
  }).domain;
};
const record = (...names: string[]): DomainRecord & { disks: HeldDisks } =>
  ({ disks: Object.fromEntries(names.map((name) => [name, { claim: `for ${name}` }])) }) as never;
const held = ({ disks }: { disks: HeldDisks }): string[] =>
  Object.entries(disks)
    .map(([name, { claim }]) => `${name} ${claim}`)
    .sort();

describe('what is held of disks', () => {
  test('goes with those that have left, with all that jobs held for them', () => {
    const one = record('vda', 'vdb', 'mirror:vdb', 'mirror:vda');
    forgetLeft(one, domain('vda'));
    expect(held(one)).toEqual(['mirror:vda for mirror:vda', 'vda for vda']);
  });

  test('stays while their images are not closed yet, also when another of their name has come', () => {
    const one = record('vda', 'vdb', 'mirror:vdb');
    forgetLeft(one, domain('vda'), new Set(['vdb']));
    const left = ['leaving:mirror:vdb for mirror:vdb', 'leaving:vdb for vdb'];
    expect(held(one)).toEqual([...left, 'vda for vda']);
    one.disks.vdb = { claim: 'for another' };
    forgetLeft(one, domain('vda', 'vdb'), new Set(['vdb']));
    restand(one, { vdb: undefined });
    expect(held(one)).toEqual([...left, 'vda for vda', 'vdb for another']);
    forgetLeft(one, domain('vda', 'vdb'), new Set());
    expect(held(one)).toEqual(['vda for vda', 'vdb for another']);
  });

  test('of a disk that is on its way to the guest stays, whatever else is told of the document', () => {
    const one = record('vda', 'coming:vdb');
    forgetLeft(one, domain('vda'));
    expect(held(one)).toEqual(['coming:vdb for coming:vdb', 'vda for vda']);
    restand(one, { vdb: undefined });
    expect(held(one)).toEqual(['vda for vda', 'vdb for coming:vdb']);
  });
});
