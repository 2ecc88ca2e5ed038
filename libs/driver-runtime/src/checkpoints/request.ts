/** From what a user asks for to a checkpoint that can be made: every refusal that needs no look at an image is here. */
import { alignCheckpoint, parseCheckpoint, type Checkpoint } from '@virtbus/domain-xml/checkpoint';
import { VirtError } from '@virtbus/shared';
import { facet } from '../driver';
import type { Context } from '../ops/op';
import { checkpointsOf, currentCheckpoint } from './index';

/**
 * A checkpoint of the domain as it runs now, child of the current one.
 * @param now seconds since 1970
 */
export function requestedCheckpoint({ host, actor }: Context, xml: string, now: number): Checkpoint {
  const facility = facet(host.implementation, 'checkpoints');
  const book = checkpointsOf(actor);
  const asked = parseCheckpoint(xml, { form: 'request', now });
  book.checkReadable(asked.name);
  if (book.find(asked.name))
    throw new VirtError('OPERATION_FAILED', { detail: `domain checkpoint ${asked.name} already exists` });
  const domain = actor.document;
  const aligned = alignCheckpoint(asked, domain);
  facility.check(domain, aligned);
  const parent = currentCheckpoint(book)?.name;
  return { ...aligned, ...(parent !== undefined && { parent: { name: parent } }), domain };
}

/** A whole description that was made before. */
export function redefinedCheckpoint({ actor }: Context, xml: string): Checkpoint {
  const book = checkpointsOf(actor);
  const given = parseCheckpoint(xml, { form: 'redefinition' });
  const { name, parent, domain } = given;
  if (domain === undefined) throw new VirtError('XML_ERROR', { detail: 'missing domain in checkpoint' });
  if (domain.uuid !== actor.uuid)
    throw new VirtError('INVALID_ARG', { detail: `definition for checkpoint ${name} must use uuid ${actor.uuid}` });
  if (parent?.name === name)
    throw new VirtError('INVALID_ARG', { detail: `cannot set checkpoint ${name} as its own parent` });
  if (parent?.name !== undefined && !book.find(parent.name))
    throw new VirtError('INVALID_ARG', { detail: `parent ${parent.name} for checkpoint ${name} not found` });
  if (parent?.name !== undefined && book.descendantsOf(name).some((one) => one.name === parent.name))
    throw new VirtError('INVALID_ARG', { detail: `parent ${parent.name} would create cycle to ${name}` });
  return alignCheckpoint(given, domain);
}
