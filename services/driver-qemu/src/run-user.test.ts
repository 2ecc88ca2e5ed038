import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import { needsRoot, temporaryFolder } from '@virtbus/testkit';
import { kvmGroup } from './run-user';

needsRoot().test('guests have the group that KVM is left to, where it is neither for all nor for root alone', () => {
  using folder = temporaryFolder();
  const device = folder.file('kvm');
  expect(kvmGroup(device)).toBeUndefined();
  writeFileSync(device, '');
  for (const [gid, mode, expected] of [
    [4_711, 0o660, 4_711],
    [4_711, 0o666, undefined],
    [4_711, 0o600, undefined],
    [0, 0o660, undefined],
  ] as const) {
    chownSync(device, 0, gid);
    chmodSync(device, mode);
    expect(kvmGroup(device)).toBe(expected);
  }
});
