/** Between libvirt's document and what a hypervisor's own users write: queries that a host's driver answers. */
import { z } from 'zod';
import { contract } from './contract';

const ofDriver = {
  driver: z.string().optional().describe('the first driver of the host that knows the format when left out'),
  format: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]*$/, 'a format is a word such as qemu-argv')
    .describe('qemu-argv, …: what each driver knows stands in its heartbeat'),
};

export const nativeToXml = contract({
  kind: 'query',
  entity: 'host',
  operation: 'native-to-xml',
  servedBy: 'host',
  request: z.object({ ...ofDriver, config: z.string().max(1_048_576).describe('the configuration, as it is written') }),
  response: z.object({
    xml: z.string().describe('the domain document; nothing is defined'),
    warnings: z.array(z.string()).describe('what could not be told in the document, a line each'),
  }),
  errors: ['HOST_NOT_FOUND', 'HOST_OFFLINE', 'CONFIG_UNSUPPORTED', 'UNSUPPORTED_BY_DRIVER'],
  doc: "Read a hypervisor's own configuration (a QEMU command line, …) as a domain document. Changes nothing.",
  example: { format: 'qemu-argv', config: 'qemu-system-x86_64 -m 512 -hda disk.img' },
});

export const xmlToNative = contract({
  kind: 'query',
  entity: 'host',
  operation: 'xml-to-native',
  servedBy: 'host',
  request: z.object({ ...ofDriver, xml: z.string().max(4_194_304).describe("libvirt's domain document") }),
  response: z.object({
    config: z.string().describe('the configuration, as one would write it'),
    warnings: z.array(z.string()).describe('what was not understood in the document, a line each'),
  }),
  errors: [
    'HOST_NOT_FOUND',
    'HOST_OFFLINE',
    'CONFIG_UNSUPPORTED',
    'UNSUPPORTED_BY_DRIVER',
    'XML_ERROR',
    'XML_DETAIL',
    'OS_TYPE',
  ],
  doc: "Tell a domain document in a hypervisor's own words: for QEMU, the command line it would be started with. Changes nothing.",
  example: { format: 'qemu-argv', xml: '<domain type="qemu"><name>web1</name>…</domain>' },
});
