import {
  formatPool,
  imageCommands,
  parsePool,
  parseVolume,
  poolFromJson,
  poolToJson,
  volumeFromJson,
  volumeToJson,
} from './index';

const dirPool = (inside: string, name = 'images') =>
  `<pool type='dir'><name>${name}</name>${inside}<target><path>/srv//img/</path></target></pool>`;
const volumeXml = (capacity: string, target = '') =>
  `<volume><name>v.qcow2</name>${capacity}<target><path>/srv/img/v.qcow2</path>${target}</target></volume>`;

describe('the document of a pool', () => {
  test('has a clean path and no space of its own saying', () => {
    const pool = parsePool(dirPool('<capacity>77</capacity>'));
    expect(pool.target?.path).toBe('/srv/img');
    expect(pool.capacity).toBe(0);
  });

  test.each([
    [dirPool('', 'a/b'), "name a/b cannot contain '/'"],
    [dirPool('<source><host name="h"/></source>'), 'line 1: element <host> inside <source> is not supported'],
    ["<pool type='floppy'><name>a</name></pool>", 'unknown storage pool type floppy'],
    ["<pool type='dir'><name>a</name></pool>", 'missing storage pool target path'],
    [
      "<pool type='fs'><name>a</name><target><path>/m</path></target></pool>",
      'missing storage pool source device name',
    ],
    [
      "<pool type='netfs'><name>a</name><source><host name='h'/><dir path='/x'/><format type='ext4'/></source>" +
        '<target><path>/m</path></target></pool>',
      'unknown pool format type ext4; a pool of type netfs may be auto, nfs, glusterfs, cifs',
    ],
  ])('is refused by name: %s', (xml, words) => {
    expect(() => parsePool(xml)).toThrow(words);
  });

  test('says the same as JSON', () => {
    const pool = parsePool(dirPool('<uuid>70a7eb15-6c34-ee9c-bf57-69e8e5ff3fb2</uuid>'));
    expect(formatPool(poolFromJson(poolToJson(pool)))).toBe(formatPool(pool));
  });
});

describe('the document of a volume', () => {
  test.each([
    [volumeXml(''), 'missing capacity element'],
    [volumeXml('<capacity>9223372036854775808</capacity>'), 'numerical overflow'],
    [volumeXml("<capacity unit='EiB'>16</capacity>"), 'value too large'],
    [volumeXml('<capacity>-1</capacity>'), 'is no size'],
    [volumeXml('<capacity>1</capacity>', "<format type='floppy'/>"), 'unknown volume format type floppy'],
    [volumeXml('<capacity>1</capacity>', '<permissions><mode>0999</mode></permissions>'), 'malformed octal mode'],
  ])('is refused by name: %s', (xml, words) => {
    expect(() => parseVolume(xml, { poolType: 'dir' })).toThrow(words);
  });

  test('says the same as JSON', () => {
    const volume = parseVolume(volumeXml('<capacity>5</capacity>'), { poolType: 'dir' });
    expect(volumeFromJson(volumeToJson(volume), { poolType: 'dir' })).toEqual(volume);
  });
});

describe('the commands that make an image', () => {
  test('cannot be told anything by a name or a path', () => {
    const volume = parseVolume(
      volumeXml('<capacity>1024</capacity>', "<encryption format='luks'/>")
        .replace('v.qcow2</name>', '-o,id=x</name>')
        .replace('/srv/img/v.qcow2', '/srv/img/a,driver=raw'),
      { poolType: 'dir' },
    );
    const [create, convert] = imageCommands({
      volume,
      source: volume,
      secretFile: '/run/s,x',
      sourceSecretFile: '/run/t',
    });
    expect(create).toContain('secret,id=volume_encrypt0,file=/run/s,,x');
    expect(convert).toContain('driver=luks,file.filename=/srv/img/a,,driver=raw,key-secret=volume_encrypt0');
  });

  test('are refused where no image can be so', () => {
    const volume = parseVolume(volumeXml('<capacity>1</capacity>', '<compat>1.1</compat>'), { poolType: 'dir' });
    expect(() => imageCommands({ volume })).toThrow('belong to qcow2, not to format raw');
  });
});
