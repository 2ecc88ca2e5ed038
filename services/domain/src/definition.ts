/** Reading a definition as far as the fleet needs it: identity, what host it fits, and the document with its uuid in it. */
import { createHash } from 'node:crypto';
import {
  dispensableDisks,
  domainFromJson,
  formatDevice,
  formatDomain,
  nameFault,
  parseDomain,
  warningText,
  type Domain,
} from '@virtbus/domain-xml';
import { VirtError } from '@virtbus/shared';

export interface Definition {
  uuid: string;
  /** The document named no uuid; this one comes from the command's id. */
  derived: boolean;
  name: string;
  /** Domain type: kvm, qemu, lxc, … */
  virtType: string;
  arch: string | undefined;
  memoryKiB: number;
  /** As it was given, so that the host's faults name the lines that its author knows; canonical when it was given as JSON. */
  xml: string;
  /** Its disks, each an element. */
  disks: string[];
  /** Targets of those that a boot does without when their image is missing. */
  mayMiss: string[];
  warnings: string[];
}

interface Given {
  xml?: string | undefined;
  document?: Record<string, unknown> | undefined;
  /** Refuse what is unknown instead of warning of it. */
  validate?: boolean | undefined;
}

/**
 * Throws the parser's errors, which name element and line; `INVALID_ARG` without a document or with two.
 * @param commandId the uuid is made from when the document names none, so that a repeated command names the same domain
 */
export function readDefinition({ xml, document, validate = false }: Given, commandId: string): Definition {
  if ((xml === undefined) === (document === undefined)) {
    throw new VirtError('INVALID_ARG', { detail: 'give the definition either as `xml` or as `document`' });
  }
  const { domain, warnings } =
    xml === undefined
      ? { domain: domainFromJson(document), warnings: [] }
      : parseDomain(xml, { mode: 'inactive', unknown: validate ? 'refuse' : 'warn' });
  checkName(domain.name);
  const uuid = domain.uuid ?? uuidFrom(commandId);
  return {
    uuid,
    derived: domain.uuid === undefined,
    name: domain.name,
    virtType: domain.type,
    arch: domain.os.type?.arch,
    memoryKiB: domain.memory.kib,
    xml: xml ?? canonical({ ...domain, uuid }),
    disks: disksOf(domain),
    mayMiss: dispensableDisks(domain, 'boot'),
    warnings: warnings.map(warningText),
  };
}

/** The disks of a document, each an element. */
export const disksOf = ({ devices }: Domain): string[] =>
  devices.disks.map((value) => formatDevice({ list: 'disks', value }, 'inactive'));

const canonical = (domain: Domain): string => formatDomain(domain, { view: 'inactive', secrets: true });

/** Throws `XML_ERROR` for a name that libvirt or a file system would refuse. */
export function checkName(name: string): void {
  const detail = nameFault(name);
  if (detail !== undefined) throw new VirtError('XML_ERROR', { detail, element: 'name' });
}

/** A version 5 uuid (RFC 9562) of the command's id: the same id always names the same domain. */
export function uuidFrom(commandId: string): string {
  const bytes = createHash('sha1').update(`virtbus:command:${commandId}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x50;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
