/** Where a copy is to lie, as virsh and others write it. */
import { parseCopyTarget } from './copy-target';

test('a target need not say which disk it is a copy of, and what it says of that does not count', () => {
  const xml = "<disk type='file'><source file='/srv/copy.img'/><target dev='hda'/></disk>";
  expect(parseCopyTarget(xml, 'vdb')).toMatchObject({
    type: 'file',
    source: { file: '/srv/copy.img' },
    target: { dev: 'vdb' },
  });
});

test('what is no disk, or says what nobody knows, is refused', () => {
  expect(() => parseCopyTarget('<volume/>', 'vda')).toThrow('unexpected root element <volume>');
  expect(() => parseCopyTarget("<disk type='file'><sauce file='/x'/></disk>", 'vda')).toThrow('sauce');
});
