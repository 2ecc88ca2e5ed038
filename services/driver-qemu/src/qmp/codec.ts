/**
 * QMP on the wire: one JSON object a line, CRLF or LF, in both directions.
 *
 * QEMU answers `query-qmp-schema` with several 100 kB on one line, so the decoder keeps chunks apart until the line
 * ends instead of growing a string chunk by chunk.
 */
import { toJson } from '@virtbus/domain-xml';
import { MonitorBroken } from './errors';

/** The longest line we take from QEMU, in bytes. The largest known answer (the schema) is below 0.5 MiB. */
export const MAX_MESSAGE_BYTES = 10 * 1024 * 1024;

export type QmpMessage = Record<string, unknown>;

const NEWLINE = 0x0a;

/** Turns chunks of bytes into messages; keeps what belongs to an unfinished line. */
export class QmpDecoder {
  private parts: Buffer[] = [];
  private pending = 0;

  constructor(private readonly maxBytes = MAX_MESSAGE_BYTES) {}

  /**
   * The messages that end in this chunk, in order.
   * @throws MonitorBroken when a line is too long, is not JSON or is not an object.
   */
  *push(chunk: Buffer): Generator<QmpMessage> {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.keep(chunk.subarray(start, end));
      start = end + 1;
      const line = this.takeLine();
      if (line !== '') yield parse(line);
    }
    this.keep(chunk.subarray(start));
  }

  private keep(part: Buffer): void {
    if (part.length === 0) return;
    this.pending += part.length;
    if (this.pending > this.maxBytes) {
      throw new MonitorBroken(`QEMU sent a message of more than ${this.maxBytes} bytes`);
    }
    this.parts.push(part);
  }

  private takeLine(): string {
    const line = this.parts.length === 1 ? this.parts[0]! : Buffer.concat(this.parts);
    this.parts = [];
    this.pending = 0;
    return line.toString('utf8').trim();
  }
}

/** One message as QEMU expects it. */
export function encode(message: object): string {
  return `${toJson(message)}\r\n`;
}

function parse(line: string): QmpMessage {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new MonitorBroken(`QEMU sent a line that is not JSON: ${excerpt(line)}`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MonitorBroken(`QEMU sent a line that is not a JSON object: ${excerpt(line)}`);
  }
  return value as QmpMessage;
}

function excerpt(line: string): string {
  return line.length > 120 ? `${line.slice(0, 120)}…` : line;
}
