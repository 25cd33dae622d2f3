//! State machines of the standards, and the state rules that they amount to.
//!
//! OPC 40001-1 (Machinery) and OPC 30050 (PackML). A state that no rule knows leaves the machine
//! UNKNOWN, and so does one that is not told.

use crate::field::opcua::browse::space::{Seen, Space};
use lineside_proto::State;

use crate::config::model::{NodeKind, OPC_UA_NAMESPACE};

/// The namespace of OPC 40001-1.
const MACHINERY: &str = "http://opcfoundation.org/UA/Machinery/";

/// The namespace of OPC 30050.
const PACKML: &str = "http://opcfoundation.org/UA/PackML/";

/// The numbers of PackML's states, as `StateCurrent` tells them.
const PACKML_STATES: [(&str, u32); 17] = [
    ("Clearing", 1),
    ("Stopped", 2),
    ("Starting", 3),
    ("Idle", 4),
    ("Suspended", 5),
    ("Execute", 6),
    ("Stopping", 7),
    ("Aborting", 8),
    ("Aborted", 9),
    ("Holding", 10),
    ("Held", 11),
    ("Unholding", 12),
    ("Suspending", 13),
    ("Unsuspending", 14),
    ("Resetting", 15),
    ("Completing", 16),
    ("Complete", 17),
];

/// The numbers of PackML's unit modes that every machine has.
const PACKML_MODES: [(&str, u32); 3] = [("Production", 1), ("Maintenance", 2), ("Manual", 3)];

/// The steps of a PackML machine, one inside the other.
const PACKML_STEPS: [&str; 3] = ["BaseStateMachine", "MachineState", "ExecuteState"];

/// A point that tells a state.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Teller {
    /// The variable, as its place in the space.
    pub node: usize,
    /// The point's name.
    pub name: &'static str,
    /// What it is read as.
    pub kind: NodeKind,
    /// What it tells: names of states, and their numbers where it tells numbers.
    states: Vec<(String, u32)>,
}

/// A machine whose state the server tells.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Told {
    /// Which standard.
    pub standard: &'static str,
    /// The names from below Objects to what tells.
    pub at: String,
    /// The points that rules name.
    pub tellers: Vec<Teller>,
    /// The rules, in order.
    pub rules: Vec<(State, String)>,
}

impl Teller {
    /// The condition that this tells one of these states; none where it can't be told.
    fn is(&self, names: &[&str]) -> Option<String> {
        let Self { name, .. } = self;
        let conditions: Vec<String> = names
            .iter()
            .filter_map(|wanted| match self.kind {
                NodeKind::Text => Some(format!("{name} == \"{wanted}\"")),
                NodeKind::Number | NodeKind::Bool => {
                    let mut known = self.states.iter();
                    let (_, number) = known.find(|(state, _)| same(state, wanted))?;
                    Some(format!("{name} == {number}"))
                }
            })
            .collect();
        (!conditions.is_empty()).then(|| conditions.join(" || "))
    }
}

/// Whether two names are of one state: makers differ in `Un-Holding` and `Unholding`.
fn same(one: &str, other: &str) -> bool {
    let letters = |name: &str| -> String {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|char| char.to_ascii_lowercase()).collect()
    };
    letters(one) == letters(other)
}

/// The machines whose states a server tells, in the order in which they were found.
pub(super) fn told(space: &Space) -> Vec<Told> {
    (0..space.nodes.len())
        .filter_map(|place| machinery(space, place).or_else(|| packml(space, place)))
        .collect()
}

/// A machine of OPC 40001-1, found by its item state.
fn machinery(space: &Space, place: usize) -> Option<Told> {
    let node = space.nodes.get(place)?;
    if !is_named(node, MACHINERY, "MachineryItemState") {
        return None;
    }
    let item = teller(space, place, "item_state")?;
    let beside = node
        .parent
        .into_iter()
        .flat_map(|parent| space.children(parent));
    let mode = beside
        .filter(|(_, node)| is_named(node, MACHINERY, "MachineryOperationMode"))
        .find_map(|(mode, _)| teller(space, mode, "operation_mode"));
    let not_off = item.is(&["OutOfService", "NotExecuting", "Executing"]);
    let in_mode = |name: &str| {
        let condition = mode.as_ref()?.is(&[name])?;
        Some(format!("({}) && {condition}", not_off.as_ref()?))
    };
    let wanted = [
        (State::Maint, in_mode("Maintenance")),
        (State::Down, item.is(&["OutOfService"])),
        (State::Off, item.is(&["NotAvailable"])),
        (State::Setup, in_mode("Setup")),
        (State::Run, item.is(&["Executing"])),
        (State::Idle, item.is(&["NotExecuting"])),
    ];
    Some(Told {
        standard: "OPC 40001-1",
        at: space.path(place).join("/"),
        tellers: std::iter::once(item).chain(mode).collect(),
        rules: rules(wanted),
    })
}

/// A machine of OPC 30050, found by the state that its status object tells, or by its state machines.
fn packml(space: &Space, place: usize) -> Option<Told> {
    let node = space.nodes.get(place)?;
    let (tellers, wanted) = if is_named(node, PACKML, "StateCurrent") && node.content.is_some() {
        let state = Teller {
            node: place,
            name: "packml_state",
            kind: NodeKind::Number,
            states: PACKML_STATES.map(|(n, s)| (n.to_owned(), s)).into(),
        };
        let mode = node.parent.and_then(|status| unit_mode(space, status));
        let wanted = packml_rules(|_, names| state.is(names), mode.as_ref());
        (std::iter::once(state).chain(mode).collect(), wanted)
    } else if is_named(node, PACKML, "BaseStateMachine") && !has_state_current(space, node) {
        let steps = packml_steps(space, place);
        let wanted = packml_rules(|step, names| within(&steps, step, names), None);
        (steps, wanted)
    } else {
        return None;
    };
    (!tellers.is_empty()).then(|| Told {
        standard: "OPC 30050",
        at: space.path(place).join("/"),
        tellers,
        rules: rules(wanted),
    })
}

/// Whether the machine of this node tells its whole state in one number, too.
fn has_state_current(space: &Space, machine: &Seen) -> bool {
    let Some(object) = machine.parent else {
        return false;
    };
    let status = space.child(object, PACKML, "Status");
    status.is_some_and(|(status, _)| space.child(status, PACKML, "StateCurrent").is_some())
}

fn unit_mode(space: &Space, status: usize) -> Option<Teller> {
    let (node, _) = space.child(status, PACKML, "UnitModeCurrent")?;
    Some(Teller {
        node,
        name: "unit_mode",
        kind: NodeKind::Number,
        states: PACKML_MODES.map(|(n, s)| (n.to_owned(), s)).into(),
    })
}

fn packml_steps(space: &Space, base: usize) -> Vec<Teller> {
    let names = ["packml_base", "packml_machine", "packml_execute"];
    let mut tellers = Vec::new();
    let mut place = Some(base);
    for (step, name) in PACKML_STEPS.iter().zip(names) {
        if let (true, Some(present)) = (!tellers.is_empty(), place) {
            place = space.child(present, PACKML, step).map(|(place, _)| place);
        }
        tellers.extend(place.and_then(|place| teller(space, place, name)));
    }
    tellers
}

/// The condition that a step inside others is in one of these states: those around it must be in it.
fn within(steps: &[Teller], step: usize, names: &[&str]) -> Option<String> {
    let around = [["Cleared"].as_slice(), &["Running"]];
    let mut condition = steps.get(step)?.is(names)?;
    if step > 0 {
        condition = format!("({condition})");
    }
    for (outer, names) in steps.iter().zip(around).take(step).rev() {
        condition = format!("{} && {condition}", outer.is(names)?);
    }
    Some(condition)
}

/// PackML's states as ours. `is` gives the condition for states of a step: 0 the base, 1 the machine,
/// 2 the execution.
fn packml_rules(
    is: impl Fn(usize, &[&str]) -> Option<String>,
    mode: Option<&Teller>,
) -> [(State, Option<String>); 7] {
    let in_mode = |name: &str| mode.and_then(|mode| mode.is(&[name]));
    let any = |conditions: [Option<String>; 2]| {
        let conditions: Vec<String> = conditions.into_iter().flatten().collect();
        (!conditions.is_empty()).then(|| conditions.join(" || "))
    };
    let execute = |names: &[&str]| is(2, names);
    [
        (State::Maint, in_mode("Maintenance")),
        (
            State::Down,
            any([is(0, &["Aborting", "Aborted"]), is(1, &["Clearing"])]),
        ),
        (
            State::Setup,
            any([in_mode("Manual"), execute(&["Resetting"])]),
        ),
        (State::Run, execute(&["Execute", "Starting", "Completing"])),
        (
            State::Hold,
            execute(&[
                "Held",
                "Holding",
                "Unholding",
                "Suspended",
                "Suspending",
                "Unsuspending",
            ]),
        ),
        (State::Idle, execute(&["Idle", "Complete"])),
        (State::Idle, is(1, &["Stopped", "Stopping"])),
    ]
}

fn rules<const N: usize>(wanted: [(State, Option<String>); N]) -> Vec<(State, String)> {
    let told = wanted.into_iter();
    told.filter_map(|(state, when)| Some((state, when?)))
        .collect()
}

/// What tells the state of a state machine: its number where its type numbers the states, else its
/// name.
fn teller(space: &Space, machine: usize, name: &'static str) -> Option<Teller> {
    let (current, _) = space.child(machine, OPC_UA_NAMESPACE, "CurrentState")?;
    let states = space.nodes.get(machine)?.states.clone();
    let number = space.child(current, OPC_UA_NAMESPACE, "Number");
    let (node, kind) = match number {
        Some((number, _)) if !states.is_empty() => (number, NodeKind::Number),
        Some(_) | None => (current, NodeKind::Text),
    };
    Some(Teller {
        node,
        name,
        kind,
        states,
    })
}

fn is_named(node: &Seen, namespace: &str, name: &str) -> bool {
    node.browse.name == name && node.browse.namespace == namespace
}
