import { OneHost, xml } from './testing/one-host';

let one: OneHost;
beforeEach(async () => {
  one = await OneHost.open();
});
afterEach(() => one[Symbol.dispose]());

test('a document is told in the words of the hypervisor, with a warning for what was not understood', async () => {
  const document = xml().replace('<os>', '<colour>blue</colour>\n<os>');
  expect(await one.call('xml-to-native', { format: 'memory-line', xml: document })).toEqual({
    config: 'web1 65536',
    warnings: [expect.stringMatching(/^line \d+: .*colour/)],
  });
});

test("the hypervisor's own words become a document, with what they say beyond it as warnings", async () => {
  const answer = await one.call<{ xml: string; warnings: string[] }>('native-to-xml', {
    format: 'memory-line',
    config: 'db 1024 fast',
  });
  expect(answer.xml).toContain("<memory unit='KiB'>1024</memory>");
  expect(answer.warnings).toEqual(['fast']);
});

test('a format that the driver does not know is refused, with those it knows', async () => {
  const refused =
    "UNSUPPORTED_BY_DRIVER: this function is not supported by the connection driver: memory cannot convert format 'xen-xl'; it knows memory-line";
  expect(await one.refusal('xml-to-native', { format: 'xen-xl', xml: xml() })).toBe(refused);
  expect(await one.refusal('native-to-xml', { format: 'xen-xl', config: '' })).toBe(refused);
});

test('what is no document, or no format at all, is refused', async () => {
  expect(await one.refusal('xml-to-native', { format: 'memory-line', xml: 'web1' })).toMatch(/^XML_DETAIL: /);
  expect(await one.refusal('xml-to-native', { format: 'memory-line', xml: '' })).toMatch(/^XML_DETAIL: /);
  expect(await one.refusal('native-to-xml', { format: '../etc', config: '' })).toMatch(/^INVALID_ARG: .*format/);
});
