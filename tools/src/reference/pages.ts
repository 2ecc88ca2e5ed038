/** All pages below `docs/reference/` that are made from code. */
import { errorsPage, eventsPage, operationsPage } from './operations';
import { metricsPage } from './metrics';
import { rolesPage } from './roles';
import { asyncApi, schemas } from './schemas';

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** Name below `docs/reference/` → text. */
export function referencePages(): Map<string, string> {
  const pages = new Map([
    ['operations.md', operationsPage()],
    ['errors.md', errorsPage()],
    ['events.md', eventsPage()],
    ['metrics.md', metricsPage()],
    ['roles.md', rolesPage()],
    ['asyncapi.json', json(asyncApi('1.0.0'))],
  ]);
  for (const [name, schema] of schemas()) pages.set(`schemas/${name}`, json(schema));
  return pages;
}
