import { RecordReader, records } from './byte-records';

/** What a reader makes of `bytes` that come in pieces of `size`. */
async function read(bytes: Uint8Array, size: number): Promise<string[]> {
  const said: string[] = [];
  let data = '';
  const reader = new RecordReader({
    data: (part) => void (data += Buffer.from(part).toString()),
    hole: (length) => void said.push(`hole ${length}`),
    end: () => void said.push('end'),
  });
  for (let at = 0; at < bytes.length; at += size) await reader.push(bytes.subarray(at, at + size));
  return [data, ...said];
}

describe('contents with holes', () => {
  const stream = Buffer.concat([
    records.data(Buffer.from('hello ')),
    records.hole(2 ** 40),
    records.data(Buffer.from('world')),
    records.end(),
  ]);

  test.each([1, 2, 7, 9, 10, 1_000])('come whole through messages of %i bytes', async (size) => {
    expect(await read(stream, size)).toEqual(['hello world', `hole ${2 ** 40}`, 'end']);
  });

  test.each([
    ['something else', Buffer.from('not a record at all')],
    ['more after the end', Buffer.concat([records.end(), records.end()])],
    ['a length that no file has', Buffer.concat([Buffer.from([2]), Buffer.alloc(8, 0xff)])],
  ])('are refused when they are %s', async (_what, bytes) => {
    await expect(read(bytes, 4_096)).rejects.toThrow(TypeError);
  });
});
