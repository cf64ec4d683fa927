// The wire format of Protocol Buffers, as far as frames need it.

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes a message. Fields with default values are left out, except by `bytes` and `message`. */
export class Writer {
  #bytes = new Uint8Array(64);
  #length = 0;

  uint32(field: number, value = 0): this {
    if (value === 0) return this;
    this.#varint(field << 3);
    this.#varint(value);
    return this;
  }

  /** A field whose presence is told apart from zero. */
  optionalUint32(field: number, value?: number): this {
    if (value === undefined) return this;
    this.#varint(field << 3);
    this.#varint(value);
    return this;
  }

  bool(field: number, value = false): this {
    return this.uint32(field, value ? 1 : 0);
  }

  string(field: number, value = ""): this {
    return value === "" ? this : this.bytes(field, encoder.encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    this.#varint((field << 3) | BYTES);
    this.#varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  message(field: number, write: (writer: Writer) => void): this {
    const inner = new Writer();
    write(inner);
    return this.bytes(field, inner.finish());
  }

  map(field: number, entries: Record<string, string> = {}): this {
    for (const [key, value] of Object.entries(entries)) this.message(field, (entry) => entry.string(1, key).string(2, value));
    return this;
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  #varint(value: number) {
    this.#reserve(5);
    let rest = value >>> 0;
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
  }

  #reserve(more: number) {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + more));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** A field of a message: a number, or bytes. */
export class Field {
  constructor(
    readonly number: number,
    readonly value: number | Uint8Array,
  ) {}

  get uint32(): number {
    if (typeof this.value !== "number") throw malformed();
    return this.value;
  }

  get bytes(): Uint8Array {
    if (typeof this.value === "number") throw malformed();
    return this.value;
  }

  get string(): string {
    return decoder.decode(this.bytes);
  }

  /** Adds an entry of a map. */
  addTo(map: Record<string, string>) {
    let key = "";
    let value = "";
    for (const field of fields(this.bytes)) {
      if (field.number === 1) key = field.string;
      if (field.number === 2) value = field.string;
    }
    map[key] = value;
  }
}

/** The fields of a message, in their order. */
export function* fields(bytes: Uint8Array): Generator<Field> {
  let position = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[position++];
      if (byte === undefined) throw malformed();
      // Frames have no number above 32 bits.
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw malformed();
  };
  const take = (length: number) => {
    const end = position + length;
    if (end > bytes.length) throw malformed();
    const taken = bytes.subarray(position, end);
    position = end;
    return taken;
  };
  while (position < bytes.length) {
    const tag = varint();
    switch (tag & 7) {
      case VARINT:
        yield new Field(tag >>> 3, varint());
        break;
      case BYTES:
        yield new Field(tag >>> 3, take(varint()));
        break;
      // Of fields that later versions may have.
      case FIXED64:
        yield new Field(tag >>> 3, take(8));
        break;
      case FIXED32:
        yield new Field(tag >>> 3, take(4));
        break;
      default:
        throw malformed();
    }
  }
}

const malformed = () => new Error("a frame of prism.v1.proto is malformed");
