/**
 * Collects what is wrong with a document, so that independent faults are told together.
 *
 * The first fault decides the error code; the text lists them all, each with its line where one is known.
 */
import { VirtError, type InDocument } from '@virtbus/shared';

/** The codes of the error table that a document can earn. */
export type FaultCode =
  | 'XML_ERROR'
  | 'XML_DETAIL'
  | 'XML_INVALID_SCHEMA'
  | 'CONFIG_UNSUPPORTED'
  | 'OS_TYPE'
  | 'INTERNAL_ERROR'
  | 'INVALID_ARG'
  | 'OPERATION_FAILED'
  | 'OPERATION_UNSUPPORTED'
  | 'OVERFLOW';

export interface Fault extends InDocument {
  readonly code: FaultCode;
}

/** More than this many say nothing new; the rest is counted. */
const told = 20;

export class Faults {
  readonly #list: Fault[] = [];

  add(code: FaultCode, detail: string, where: Omit<InDocument, 'detail'> = {}): void {
    this.#list.push({ code, detail, ...where });
  }

  /**
   * Runs a step and keeps what it refuses, so that what does not depend on it is looked at as well. False when it refused something.
   * What is no fault of the document is thrown on.
   */
  attempt(step: () => void): boolean {
    try {
      step();
      return true;
    } catch (thrown) {
      const faults = faultsIn.get(thrown as object);
      if (faults === undefined) throw thrown;
      this.#list.push(...faults);
      return false;
    }
  }

  get count(): number {
    return this.#list.length;
  }

  /** Throws one VirtError for everything collected; does nothing when all is well. */
  throwIfAny(): void {
    const [first, ...others] = this.#list;
    if (first === undefined) return;
    const { code, ...where } = first;
    const more = new Set(others.map((fault) => at(fault.line) + fault.detail));
    more.delete(at(first.line) + first.detail);
    const rest = [...more].slice(0, told - 1);
    if (more.size >= told) rest.push(`and ${more.size - told + 1} more faults`);
    throw refusal(code, { ...where, detail: [first.detail, ...rest].join('; ') }, this.#list);
  }
}

/** The faults that an error of ours tells of. */
const faultsIn = new WeakMap<object, readonly Fault[]>();

function refusal(code: FaultCode, where: InDocument, faults: readonly Fault[]): VirtError {
  const error = new VirtError(code, where);
  faultsIn.set(error, faults);
  return error;
}

const at = (line: number | undefined): string => (line === undefined ? '' : `line ${line}: `);

/** Throws at once: for a fault after which going on makes no sense. */
export function fail(code: FaultCode, detail: string, where: Omit<InDocument, 'detail'> = {}): never {
  throw refusal(code, { ...where, detail }, [{ ...where, code, detail }]);
}
