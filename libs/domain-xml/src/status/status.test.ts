/** Status documents: what is read is written again, and what an older manager left out is worked out. */
import { parseDomain, formatDomain } from '../parse-domain';
import { formatStatus, parseStatus } from '.';

const places = { memoryDir: '/var/lib/libvirt/qemu/ram' };

const status = (flags: string, disk: string): string => `<domstatus state='running' reason='booted' pid='7690'>
  <taint flag='custom-argv'/>
  <monitor path='/run/monitor.sock' type='unix'/>
  <qemuCaps>
    <flag name='${flags}'/>
  </qemuCaps>
  <domain type='kvm' id='4'>
    <name>web</name>
    <memory unit='KiB'>1024</memory>
    <os>
      <type arch='x86_64' machine='pc'>hvm</type>
    </os>
    <devices>
      ${disk}
    </devices>
  </domain>
</domstatus>
`;

const luks = `<disk type='file' device='disk'>
        <source file='/a'><encryption format='luks'><secret type='passphrase' usage='a'/></encryption></source>
        <target dev='vda' bus='virtio'/>
        <alias name='virtio-disk0'/>
      </disk>`;

test('what is written is read again as the same', () => {
  const { status: first, warnings } = parseStatus(status('blockdev', luks), places);
  const written = formatStatus(first);
  expect(warnings).toEqual([]);
  expect(formatStatus(parseStatus(written, places).status)).toBe(written);
});

test('defaults of newer managers and the names of objects that followed from aliases are filled in', () => {
  const written = formatStatus(parseStatus(status('blockdev-del', luks), places).status);
  expect(written).toContain("<memoryBackingDir path='/var/lib/libvirt/qemu/ram/4-web'/>");
  expect(written).toContain("<nodename index='0'/>");
  expect(written).toContain('<agentTimeout>-2</agentTimeout>');
  expect(written).toContain("<secret type='encryption' alias='virtio-disk0-luks-secret0'/>");
  expect(formatStatus(parseStatus(status('blockdev', luks), places).status)).not.toContain('luks-secret0');
});

test('the notes stand in no other document, and are not known there', () => {
  const { domain } = parseStatus(status('blockdev-del', luks), places).status;
  expect(formatDomain(domain, { view: 'live' })).not.toContain('privateData');
  const note = "<privateData><qom name='/machine'/></privateData>";
  const xml = formatDomain(domain, { view: 'live' }).replace('</disk>', `${note}</disk>`);
  expect(() => parseDomain(xml, { mode: 'live' })).toThrow('element <privateData> inside <disk> is not supported');
});

test('a document that is none is refused', () => {
  expect(() => parseStatus('<domain/>', places)).toThrow('unexpected root element <domain>, expecting <domstatus>');
  expect(() => parseStatus(status('a', '').replace(/pid='\d+'/, "pid='x'"), places)).toThrow("attribute 'pid'");
});
