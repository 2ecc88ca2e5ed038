import { canMap } from './configuration';

const [ext4, btrfs, tmpfs, fuse] = [0xef53, 0x9123683e, 0x01021994, 0x65735546];

test.each([
  [ext4, '5.10.0-28-amd64', false],
  [ext4, '5.12.0', true],
  [btrfs, '5.14.21', false],
  [tmpfs, '6.1.0-50-amd64', false],
  [tmpfs, '6.3.0-rc1', true],
  [tmpfs, '6.12.9', true],
  [tmpfs, '7.0', true],
  [fuse, '6.12.9', false],
])('of a file system of type %i Linux %s shows other ids: %s', (type, kernel, can) => {
  expect(canMap(type, kernel)).toBe(can);
});
