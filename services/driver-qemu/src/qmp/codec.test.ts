import fc from 'fast-check';
import { QmpDecoder, encode } from './codec';
import { MonitorBroken } from './errors';

const decode = (decoder: QmpDecoder, text: string) => [...decoder.push(Buffer.from(text))];

describe('the QMP decoder', () => {
  test('gives each line as one message, with CRLF or LF, and skips empty lines', () => {
    expect(decode(new QmpDecoder(), '{"a":1}\r\n\r\n{"b":2}\n{"c"')).toEqual([{ a: 1 }, { b: 2 }]);
  });

  test('gives the same messages however the bytes are cut', () => {
    const messages = fc.array(fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer())));
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 40 })), (sent, cuts) => {
        const bytes = Buffer.from(sent.map(encode).join(''));
        const decoder = new QmpDecoder();
        const got: unknown[] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          got.push(...decoder.push(bytes.subarray(at, at + cut)));
          at += cut;
        }
        expect(JSON.stringify(got)).toEqual(JSON.stringify(sent));
      }),
    );
  });

  test('refuses a line that is longer than the limit, also when it never ends', () => {
    const decoder = new QmpDecoder(100);
    decode(decoder, 'x'.repeat(60));
    expect(() => decode(decoder, 'x'.repeat(60))).toThrow(MonitorBroken);
  });

  test.each(['not json\n', '[1]\n', '1\n', 'null\n'])('refuses %j', (line) => {
    expect(() => decode(new QmpDecoder(), line)).toThrow(MonitorBroken);
  });
});
