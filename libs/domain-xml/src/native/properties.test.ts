/** Whatever stands on a command line: it becomes a document, or is refused by design. */
import { isVirtError } from '@virtbus/shared';
import fc from 'fast-check';
import { formatDomain, parseDomain } from '../parse-domain';
import { domainFromQemuArgv } from './from-argv';
import { quoteWord } from './shell';

const flags =
  `-m -smp -cpu -machine -accel -drive -hda -cdrom -blockdev -device -netdev -nic -net -chardev -serial -parallel -monitor
  -vnc -spice -display -vga -k -usb -usbdevice -object -rtc -boot -kernel -append -bios -uuid -name -global -smbios -fw_cfg -tpmdev
  -fsdev -virtfs -audiodev -watchdog -watchdog-action -nographic -no-acpi -S -daemonize -mon -soundhw -sd -unheard-of`.split(
    /\s+/,
  );
const words =
  `virtio-blk-pci virtio-net-pci e1000 scsi-hd virtio-scsi-pci pcie-root-port qemu-xhci usb-tablet VGA intel-hda isa-serial
  virtserialport virtio-serial-pci tpm-tis vfio-pci pvpanic user tap bridge socket pty file unix null none host max qemu64 q35 pc
  accel=kvm id=a id=b drive=a netdev=a chardev=a bus=pci.0 bus=a bus=a.0 addr=2 addr=0x1f.7 if=none if=virtio if=pflash file=/i format=raw
  path=/p host=1 port=22 server=on driver=raw driver=file node-name=a filename=/i backing=a file=a size=1G 512 2G 4 sockets=2 cores=0
  ifname=t0 bootindex=1 mac=52:54:00:00:00:01 mac=x type=1 serial=s name=opt/x string=y base=utc order=cd :1 :99999 unix:/s
  {"driver":"e1000","netdev":"a"} {"driver":"raw","node-name":"a","file":"a"} { , = ,, -- x=y=z iothread=iothread1 qom-type=iothread`.split(
    /\s+/,
  );

const option = fc
  .tuple(fc.constantFrom(...flags), fc.option(fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 6 })))
  .map(([flag, values]) => (values ? [flag, values.join(',')] : [flag]));

test('any options give a document that can be read again, or a refusal by design', () => {
  fc.assert(
    fc.property(fc.array(option, { maxLength: 12 }), (options) => {
      const line = ['qemu-system-x86_64', ...options.flat()].map(quoteWord).join(' ');
      try {
        const xml = formatDomain(domainFromQemuArgv(line).domain, { view: 'inactive', secrets: true });
        expect(formatDomain(parseDomain(xml, { mode: 'inactive' }).domain, { view: 'inactive', secrets: true })).toBe(
          xml,
        );
      } catch (error) {
        if (!isVirtError(error, 'CONFIG_UNSUPPORTED')) throw error;
      }
    }),
    { numRuns: 100 },
  );
});

test('any text gives a document or a refusal by design', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      try {
        domainFromQemuArgv(`qemu ${text}`);
      } catch (error) {
        if (!isVirtError(error, 'CONFIG_UNSUPPORTED')) throw error;
      }
    }),
    { numRuns: 50 },
  );
});
