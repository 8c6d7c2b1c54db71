// Small ONNX models, made on the spot.

/** Protobuf, as much as an ONNX file needs. */
const varint = (n) => {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(n));
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
};
const number = (field, n) => Buffer.concat([varint(field << 3), varint(n)]);
const bytes = (field, content) => {
  const body = Buffer.from(content);
  return Buffer.concat([varint((field << 3) | 2), varint(body.length), body]);
};
const message = (field, ...parts) => bytes(field, Buffer.concat(parts.flat()));

const FLOAT = 1;
const INT64 = 7;

const tensor = (field, name, type, dims, raw) =>
  message(field, dims.map((d) => number(1, d)), number(2, type), bytes(8, name), bytes(9, raw));
const value = (field, name, type, dims) =>
  message(field, bytes(1, name), message(2, message(1, number(1, type), message(2, dims.map((d) => message(1, number(1, d)))))));
const node = (op, inputs, output, ...attributes) =>
  message(1, inputs.map((name) => bytes(1, name)), bytes(2, output), bytes(3, output), bytes(4, op), attributes);
const ints = (name, list) => message(5, bytes(1, name), list.map((n) => number(8, n)), number(20, 7));

const floats = (...list) => Buffer.from(Float32Array.from(list).buffer);
const int64s = (...list) => Buffer.from(BigInt64Array.from(list.map(BigInt)).buffer);

/**
 * A model that is slow on purpose: `y = x + 1` for x of shape [1, 1], computed by way of `steps` products of matrices with
 * `size` rows and columns.
 *
 * Its matrix has 1 / size everywhere, so that its powers are itself; adding 0 * x keeps it from being computed in advance.
 */
export function slowModel({ size = 1000, steps = 30 } = {}) {
  const nodes = [
    node('ConstantOfShape', ['shape'], 'constant', message(5, bytes(1, 'value'), tensor(5, 'v', FLOAT, [1], floats(1 / size)), number(20, 4))),
    node('Mul', ['x', 'zero'], 'nothing'),
    node('Add', ['constant', 'nothing'], 'matrix'),
  ];
  let last = 'matrix';
  for (let i = 0; i < steps; i += 1) {
    nodes.push(node('MatMul', [last, 'matrix'], `power${i}`));
    last = `power${i}`;
  }
  nodes.push(node('ReduceMean', [last], 'mean', ints('axes', [0, 1])));
  nodes.push(node('Mul', ['mean', 'scale'], 'one'));
  nodes.push(node('Add', ['one', 'x'], 'y'));
  const graph = [
    nodes,
    bytes(2, 'slow'),
    tensor(5, 'shape', INT64, [2], int64s(size, size)),
    tensor(5, 'zero', FLOAT, [1], floats(0)),
    tensor(5, 'scale', FLOAT, [1], floats(size)),
    value(11, 'x', FLOAT, [1, 1]),
    value(12, 'y', FLOAT, [1, 1]),
  ];
  const file = Buffer.concat([number(1, 8), bytes(2, 'llmesh-tests'), message(7, graph.flat()), message(8, bytes(1, ''), number(2, 17))]);
  return { file, complexity: steps * size ** 3 };
}

/** The input of the slow model. */
export const slowInput = (x) => [{ name: 'x', elementType: 'F32', shape: [1, 1], data: `0x${floats(x).toString('hex')}` }];
