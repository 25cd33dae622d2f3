//! The address space of the press: what there is, and how it is written anew.
//!
//! Two namespaces: the press's own, and OPC UA for Machinery with its two state machines. Only what has
//! changed is written, so that a press that rests sends nothing.

use lineside_proto::{OpcItem, OpcMode};
use opcua::nodes::{ObjectBuilder, VariableBuilder};
use opcua::server::address_space::AddressSpace;
use opcua::types::{
    DataTypeId, EUInformation, ExtensionObject, LocalizedText, NodeId, ObjectId, ObjectTypeId,
    QualifiedName, Range, VariableTypeId, Variant,
};
use std::collections::BTreeMap;

use super::body::{Shown, Switch};

/// The press's own namespace.
pub(super) const PRESS: &str = "urn:lineside:demo:press";
/// OPC UA for Machinery, OPC 40001-1.
pub(super) const MACHINERY: &str = "http://opcfoundation.org/UA/Machinery/";

/// The state machine types and their states in the Machinery namespace, as its node set numbers them;
/// the second number of a state is its StateNumber.
const ITEM_STATE_TYPE: u32 = 1002;
const OPERATION_MODE_TYPE: u32 = 1008;
/// The folder of all machines, in the Machinery namespace.
const MACHINES: u32 = 1001;

/// Where the units of UNECE recommendation 20 are defined.
const UNITS: &str = "http://www.opcfoundation.org/UA/units/un/cefact";

/// A process value: its name, its unit as code and text, its range.
struct Analog {
    name: &'static str,
    unit: (&'static str, &'static str),
    range: (f64, f64),
}

const FORCE: &str = "Force";
const POSITION: &str = "Position";
const TEMPERATURE: &str = "Temperature";

const ANALOGS: [Analog; 3] = [
    Analog {
        name: FORCE,
        unit: ("B47", "kN"),
        range: (0.0, 1000.0),
    },
    Analog {
        name: POSITION,
        unit: ("MMT", "mm"),
        range: (0.0, 420.0),
    },
    Analog {
        name: TEMPERATURE,
        unit: ("CEL", "°C"),
        range: (-20.0, 300.0),
    },
];

/// The namespaces' indexes in the running server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Namespaces {
    pub(super) press: u16,
    pub(super) machinery: u16,
}

/// One change: a node, its new value, and whether it is remembered.
pub(super) struct Change {
    pub(super) node: NodeId,
    pub(super) value: Variant,
    pub(super) history: Option<f64>,
}

/// What the nodes show now, so that only changes are written.
#[derive(Debug)]
pub(super) struct Nodes {
    namespaces: Namespaces,
    shown: BTreeMap<&'static str, Variant>,
}

impl Nodes {
    /// Nodes that show nothing yet.
    pub(super) fn new(namespaces: Namespaces) -> Self {
        Self {
            namespaces,
            shown: BTreeMap::new(),
        }
    }

    /// Everything is to be written anew.
    pub(super) fn forget(&mut self) {
        self.shown.clear();
    }

    /// What has changed since the last time.
    pub(super) fn changes(&mut self, shown: &Shown) -> Vec<Change> {
        let mut changes = Vec::new();
        for (name, value) in self.values(shown) {
            if self.shown.get(name) == Some(&value) {
                continue;
            }
            let number = if let Variant::Double(number) = value {
                Some(number)
            } else {
                None
            };
            let history = number.filter(|_| is_analog(name));
            self.shown.insert(name, value.clone());
            let node = self.namespaces.id(name);
            changes.push(Change {
                node,
                value,
                history,
            });
        }
        changes
    }

    fn values(&self, shown: &Shown) -> Vec<(&'static str, Variant)> {
        let [first, ..] = shown.mould_c;
        let mut values = vec![
            (FORCE, shown.force_kn.into()),
            (POSITION, shown.position_mm.into()),
            (TEMPERATURE, first.into()),
            ("Zones", shown.mould_c.to_vec().into()),
            ("Strokes", shown.strokes.into()),
            ("Hours", shown.hours.into()),
            ("FaultCode", shown.fault.into()),
            ("Switch", (shown.switch as i32).into()),
            ("Paused", shown.paused.into()),
        ];
        if let Some(opc) = shown.state.opc() {
            let (number, id, text) = item(opc.item);
            values.extend(self.machine(ITEM_STATE, number, id, text));
            let (number, id, text) = mode(opc.mode);
            values.extend(self.machine(OPERATION_MODE, number, id, text));
        }
        values
    }

    fn machine(
        &self,
        names: [&'static str; 3],
        number: u32,
        id: u32,
        text: &str,
    ) -> [(&'static str, Variant); 3] {
        let [current, its_id, its_number] = names;
        let id = NodeId::new(self.namespaces.machinery, id);
        [
            (current, LocalizedText::new("en", text).into()),
            (its_id, id.into()),
            (its_number, number.into()),
        ]
    }
}

/// The variables of a state machine: CurrentState, its Id, its Number.
const ITEM_STATE: [&str; 3] = [
    "MachineryItemState.CurrentState",
    "MachineryItemState.CurrentState.Id",
    "MachineryItemState.CurrentState.Number",
];
const OPERATION_MODE: [&str; 3] = [
    "MachineryOperationMode.CurrentState",
    "MachineryOperationMode.CurrentState.Id",
    "MachineryOperationMode.CurrentState.Number",
];

fn is_analog(name: &str) -> bool {
    ANALOGS.iter().any(|analog| analog.name == name)
}

/// A state's number, node and text.
fn item(item: OpcItem) -> (u32, u32, &'static str) {
    match item {
        OpcItem::NotAvailable => (0, 5005, "NotAvailable"),
        OpcItem::OutOfService => (1, 5004, "OutOfService"),
        OpcItem::NotExecuting => (2, 5007, "NotExecuting"),
        OpcItem::Executing => (3, 5006, "Executing"),
    }
}

fn mode(mode: OpcMode) -> (u32, u32, &'static str) {
    match mode {
        OpcMode::None => (0, 5024, "None"),
        OpcMode::Maintenance => (1, 5025, "Maintenance"),
        OpcMode::Setup => (2, 5027, "Setup"),
        OpcMode::Processing => (3, 5026, "Processing"),
    }
}

/// The number that OPC UA makes of a unit's code: its letters as bytes.
fn unit_id(code: &str) -> i32 {
    code.bytes().fold(0, |id, byte| (id << 8) | i32::from(byte))
}

impl Namespaces {
    /// A node of the press by its name.
    pub(super) fn id(self, name: &str) -> NodeId {
        NodeId::new(self.press, format!("Press.{name}"))
    }

    fn machine(self) -> NodeId {
        NodeId::new(self.press, "Press")
    }

    /// Builds everything.
    pub(super) fn build(self, space: &mut AddressSpace) {
        let machines = NodeId::new(self.machinery, MACHINES);
        ObjectBuilder::new(
            &machines,
            QualifiedName::new(self.machinery, "Machines"),
            "Machines",
        )
        .is_folder()
        .organized_by(ObjectId::ObjectsFolder)
        .insert(space);
        ObjectBuilder::new(
            &self.machine(),
            QualifiedName::new(self.press, "Press"),
            "Press",
        )
        .has_type_definition(ObjectTypeId::BaseObjectType)
        .organized_by(machines)
        .insert(space);
        self.build_process_values(space);
        self.build_counters(space);
        self.build_switch(space);
        self.build_machine(space, "MachineryItemState", ITEM_STATE_TYPE, ITEM_STATE);
        self.build_machine(
            space,
            "MachineryOperationMode",
            OPERATION_MODE_TYPE,
            OPERATION_MODE,
        );
    }

    /// Builds the process values alone: what `node-gone` takes away.
    pub(super) fn build_process_values(self, space: &mut AddressSpace) {
        for analog in &ANALOGS {
            self.variable(analog.name, DataTypeId::Double)
                .value(0.0)
                .has_type_definition(VariableTypeId::AnalogUnitRangeType)
                .component_of(self.machine())
                .historizing(true)
                .history_readable()
                .insert(space);
            let (code, text) = analog.unit;
            let unit = EUInformation {
                namespace_uri: UNITS.into(),
                unit_id: unit_id(code),
                display_name: LocalizedText::new("", text),
                description: LocalizedText::new("", text),
            };
            let (low, high) = analog.range;
            let range = Range { low, high };
            self.property(
                space,
                analog.name,
                "EngineeringUnits",
                DataTypeId::EUInformation,
                unit_of(unit),
            );
            self.property(
                space,
                analog.name,
                "EURange",
                DataTypeId::Range,
                range_of(range),
            );
        }
    }

    /// Takes the process values away.
    pub(super) fn remove_process_values(self, space: &mut AddressSpace) -> Vec<NodeId> {
        let mut gone = Vec::new();
        for analog in &ANALOGS {
            let id = self.id(analog.name);
            for property in ["EngineeringUnits", "EURange"] {
                space.delete(&self.id(&format!("{}.{property}", analog.name)), true);
            }
            space.delete(&id, true);
            gone.push(id);
        }
        gone
    }

    fn build_counters(self, space: &mut AddressSpace) {
        let plain = |name, data_type, value: Variant| {
            self.variable(name, data_type)
                .value(value)
                .has_type_definition(VariableTypeId::BaseDataVariableType)
                .component_of(self.machine())
        };
        plain("Strokes", DataTypeId::UInt32, 0_u32.into()).insert(space);
        plain("Hours", DataTypeId::Double, 0.0.into()).insert(space);
        plain("FaultCode", DataTypeId::UInt16, 0_u16.into()).insert(space);
        plain("Paused", DataTypeId::Boolean, false.into()).insert(space);
        plain("Zones", DataTypeId::Double, vec![0.0; 4].into())
            .value_rank(1)
            .array_dimensions(&[4])
            .insert(space);
        // A structure, for those who look at how one is shown.
        let limits = range_of(Range {
            low: 0.0,
            high: 900.0,
        });
        plain("Limits", DataTypeId::Range, limits).insert(space);
    }

    fn build_switch(self, space: &mut AddressSpace) {
        self.variable("Switch", DataTypeId::Int32)
            .value(0_i32)
            .has_type_definition(VariableTypeId::MultiStateDiscreteType)
            .component_of(self.machine())
            .insert(space);
        let texts: Vec<Variant> = Switch::TEXTS
            .iter()
            .map(|text| LocalizedText::new("en", text).into())
            .collect();
        let texts =
            opcua::types::Array::new(opcua::types::VariantScalarTypeId::LocalizedText, texts);
        if let Ok(texts) = texts {
            let texts = Variant::Array(Box::new(texts));
            self.property(
                space,
                "Switch",
                "EnumStrings",
                DataTypeId::LocalizedText,
                texts,
            );
        }
    }

    fn build_machine(self, space: &mut AddressSpace, name: &str, its_type: u32, names: [&str; 3]) {
        let id = self.id(name);
        ObjectBuilder::new(&id, QualifiedName::new(self.machinery, name), name)
            .has_type_definition(NodeId::new(self.machinery, its_type))
            .component_of(self.machine())
            .insert(space);
        let [current, its_id, its_number] = names;
        VariableBuilder::new(
            &self.id(current),
            QualifiedName::new(0, "CurrentState"),
            "CurrentState",
        )
        .data_type(DataTypeId::LocalizedText)
        .has_type_definition(VariableTypeId::FiniteStateVariableType)
        .component_of(id)
        .insert(space);
        for (name, short, data_type) in [
            (its_id, "Id", DataTypeId::NodeId),
            (its_number, "Number", DataTypeId::UInt32),
        ] {
            VariableBuilder::new(&self.id(name), QualifiedName::new(0, short), short)
                .data_type(data_type)
                .has_type_definition(VariableTypeId::PropertyType)
                .property_of(self.id(current))
                .insert(space);
        }
    }

    fn variable(self, name: &str, data_type: DataTypeId) -> VariableBuilder {
        VariableBuilder::new(&self.id(name), QualifiedName::new(self.press, name), name)
            .data_type(data_type)
    }

    fn property(
        self,
        space: &mut AddressSpace,
        of: &str,
        name: &str,
        data_type: DataTypeId,
        value: Variant,
    ) {
        let id = self.id(&format!("{of}.{name}"));
        VariableBuilder::new(&id, QualifiedName::new(0, name), name)
            .data_type(data_type)
            .value(value)
            .has_type_definition(VariableTypeId::PropertyType)
            .property_of(self.id(of))
            .insert(space);
    }
}

fn unit_of(unit: EUInformation) -> Variant {
    ExtensionObject::from_message(unit).into()
}

fn range_of(range: Range) -> Variant {
    ExtensionObject::from_message(range).into()
}
