/** Which of a domain's two documents a change speaks of. */
import type { Affect } from '@virtbus/shared';
import type { Session } from './session';

export async function isActive(session: Session, target: string): Promise<boolean> {
  return (await session.call('getDomain', {}, target)).domain.id >= 0;
}

/** The XML to look a device up in: the definition for a change of the definition alone, else the domain as it is. */
export async function definitionFor(session: Session, target: string, affect: Affect): Promise<string> {
  const { xml = '' } = await session.call('getDomainXml', { inactive: affect === 'config' }, target);
  return xml;
}
