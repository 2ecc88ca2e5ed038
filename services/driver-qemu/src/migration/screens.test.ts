import { parseDomain } from '@virtbus/domain-xml';
import { parseGraphicsUri, screenOf } from './screens';

const document = (graphics: string): Parameters<typeof screenOf>[0] =>
  parseDomain(
    `<domain type='qemu'><name>web1</name><memory>1024</memory><os><type>hvm</type></os><devices>${graphics}</devices></domain>`,
    { mode: 'live' },
  ).domain;

test('the cookie names the first SPICE server that clients reach by network, and no VNC', () => {
  const vnc = "<graphics type='vnc' port='5900'/>";
  const socket = "<graphics type='spice'><listen type='socket' socket='/run/spice'/></graphics>";
  expect(screenOf(document(vnc))).toBeUndefined();
  expect(screenOf(document(socket))).toBeUndefined();
  const open = "<graphics type='spice' port='5901' autoport='no' listen='0.0.0.0'/>";
  const expected = { type: 'spice', port: 5901, tlsPort: -1, listen: '0.0.0.0', certificates: [] };
  expect(screenOf(document(`${vnc}${open}`))).toEqual(expected);
});

test('clients can be sent to a place of the user’s choice', () => {
  expect(parseGraphicsUri('spice://h2.example:5901')).toEqual({ host: 'h2.example', port: 5901 });
  const full = { host: '::1', port: 5901, tlsPort: 5902, tlsSubject: 'CN=h2' };
  expect(parseGraphicsUri('spice://[::1]:5901?tlsPort=5902&tlsSubject=CN=h2')).toEqual(full);
  for (const wrong of ['vnc://h2:5900', 'h2', 'spice://', 'spice://h2?tlsPort=many']) {
    expect(() => parseGraphicsUri(wrong)).toThrow('give spice://HOST:PORT');
  }
});
