//! A point's place in a Modbus device, and how what lies there is read.

/// Where a point lies in a Modbus device, and what lies there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModbusAddress {
    /// The unit, 0 to 255.
    pub unit_id: u8,
    /// The register table.
    pub table: Table,
    /// The first register or bit, zero-based as on the wire.
    pub start: u16,
    /// What lies there.
    pub kind: Kind,
}

impl ModbusAddress {
    /// Registers (or, in the bit tables, bits) that the point covers.
    pub fn width(&self) -> u16 {
        match self.table {
            Table::Coil | Table::Discrete => 1,
            Table::Holding | Table::Input => self.kind.registers(),
        }
    }
}

/// The four tables of Modbus, by what reads them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Coils: function 1.
    Coil,
    /// Discrete inputs: function 2.
    Discrete,
    /// Holding registers: function 3.
    Holding,
    /// Input registers: function 4.
    Input,
}

impl Table {
    /// Whether the table holds single bits.
    pub fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }

    /// The word in a machine map.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }
}

/// The type of a point. Orders apply where a value spans more than one register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A coil or discrete input; or, of a register, the bit with this number, 0 the lowest.
    Bool(Option<u8>),
    /// Unsigned 16 bits.
    U16(ByteOrder),
    /// Signed 16 bits.
    I16(ByteOrder),
    /// Unsigned 32 bits.
    U32(Order),
    /// Signed 32 bits.
    I32(Order),
    /// Unsigned 64 bits.
    U64(Order),
    /// Signed 64 bits.
    I64(Order),
    /// IEEE 754 single.
    F32(Order),
    /// IEEE 754 double.
    F64(Order),
    /// Text of so many bytes, 1 to 250: the first byte in the high half of a register unless the
    /// order is low byte first. Trimmed of NULs and spaces at its end.
    String {
        /// Bytes.
        length: u8,
        /// Which byte of a register comes first.
        order: ByteOrder,
    },
    /// Four decimal digits.
    Bcd16(ByteOrder),
    /// Eight decimal digits.
    Bcd32(Order),
}

impl Kind {
    /// Registers that a value of this type spans.
    pub fn registers(self) -> u16 {
        match self {
            Self::Bool(_) | Self::U16(_) | Self::I16(_) | Self::Bcd16(_) => 1,
            Self::U32(_) | Self::I32(_) | Self::F32(_) | Self::Bcd32(_) => 2,
            Self::U64(_) | Self::I64(_) | Self::F64(_) => 4,
            Self::String { length, .. } => u16::from(length).div_ceil(2),
        }
    }

    /// Whether rules see it as a bool.
    pub fn is_bool(self) -> bool {
        matches!(self, Self::Bool(_))
    }

    /// The word in a machine map.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::U16(_) => "u16",
            Self::I16(_) => "i16",
            Self::U32(_) => "u32",
            Self::I32(_) => "i32",
            Self::U64(_) => "u64",
            Self::I64(_) => "i64",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
            Self::String { .. } => "string",
            Self::Bcd16(_) => "bcd16",
            Self::Bcd32(_) => "bcd32",
        }
    }
}

/// The order of the two bytes in a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ByteOrder {
    /// High byte first, as the standard says: `AB`.
    #[default]
    High,
    /// Low byte first: `BA`.
    Low,
}

/// The order of the bytes of a value that spans registers, named by what 0x0A0B0C0D looks like.
/// 64-bit values follow the same pattern over eight letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// Big-endian: `ABCD`.
    #[default]
    Abcd,
    /// Words swapped: `CDAB`.
    Cdab,
    /// Bytes swapped within each word: `BADC`.
    Badc,
    /// Little-endian: `DCBA`.
    Dcba,
}
