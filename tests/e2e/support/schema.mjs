// As much of JSON Schema as this repository's schemas use. An unknown keyword is an error, so that nothing goes unchecked.

const TYPES = {
  object: (v) => v !== null && typeof v === 'object' && !Array.isArray(v),
  array: Array.isArray,
  string: (v) => typeof v === 'string',
  number: (v) => typeof v === 'number' && Number.isFinite(v),
  integer: Number.isInteger,
  boolean: (v) => typeof v === 'boolean',
  null: (v) => v === null,
};
const NOTES = ['$schema', '$defs', 'title', 'description'];

/** What is wrong with a value, as a list of sentences; empty when it fits. */
export function complaints(schema, value, { root = schema, at = 'document' } = {}) {
  const rules = {
    $ref: (ref) => complaints(ref.split('/').slice(1).reduce((node, key) => node[key], root), value, { root, at }),
    type: (type) => ([type].flat().some((t) => TYPES[t](value)) ? [] : [`${at} is not of type ${type}`]),
    pattern: (p) => (typeof value !== 'string' || new RegExp(p, 'u').test(value) ? [] : [`${at} does not match ${p}`]),
    minimum: (min) => (typeof value !== 'number' || value >= min ? [] : [`${at} is below ${min}`]),
    maximum: (max) => (typeof value !== 'number' || value <= max ? [] : [`${at} is above ${max}`]),
    required: (keys) => (TYPES.object(value) ? keys.filter((k) => !(k in value)).map((k) => `${at} has no ${k}`) : []),
    properties: (all) =>
      TYPES.object(value)
        ? Object.entries(all)
            .filter(([key]) => key in value)
            .flatMap(([key, sub]) => complaints(sub, value[key], { root, at: `${at}.${key}` }))
        : [],
    additionalProperties: (sub) =>
      TYPES.object(value)
        ? Object.entries(value)
            .filter(([key]) => !(key in (schema.properties ?? {})))
            .flatMap(([key, other]) => complaints(sub, other, { root, at: `${at}.${key}` }))
        : [],
    items: (sub) => (Array.isArray(value) ? value.flatMap((v, i) => complaints(sub, v, { root, at: `${at}[${i}]` })) : []),
  };
  return Object.entries(schema)
    .filter(([keyword]) => !NOTES.includes(keyword))
    .flatMap(([keyword, rule]) => {
      if (!rules[keyword]) throw new Error(`the schema uses ${keyword}, which this check does not know`);
      return rules[keyword](rule);
    });
}
