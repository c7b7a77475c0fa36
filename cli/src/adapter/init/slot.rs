//! The variables of an operation: where each argument comes from in the old request.

use super::{
    graphql::{Kind, NewSchema},
    inputs::{Input, fields},
    old_schema::{Form, Scalar},
    words::{key, similarity},
    yaml::{Line, Yaml},
};
use apollo_compiler::ast::InputValueDefinition;
use serde_json::Value;

/// Most input objects inside each other that are filled in.
const MAX_OBJECTS: usize = 3;

/// Finds the inputs for arguments and for the fields of input objects.
#[derive(Debug, Clone, Copy)]
pub struct Planner<'p, 'd> {
    /// The schema of the new interface.
    pub schema: NewSchema<'p>,
    /// The values of the old request.
    pub inputs: &'p [Input<'d>],
    /// The words of the query or mutation, in the singular.
    pub field_words: &'p [String],
}

/// The source of one argument.
#[derive(Debug)]
pub struct Slot {
    /// The variable, as an adapter writes it.
    pub value: Yaml,
    /// The decisions about it.
    pub notes: Vec<String>,
    /// The indexes of the inputs that it takes.
    pub used: Vec<usize>,
}

impl Planner<'_, '_> {
    /// Finds the source of an argument. `siblings` are the keys of all arguments beside it. Returns
    /// `None` if the old request has nothing for it.
    ///
    /// # Errors
    ///
    /// Returns a sentence about a field that an input object needs and the old request does not have.
    pub fn slot(
        &self,
        argument: &InputValueDefinition,
        siblings: &[String],
        depth: usize,
    ) -> Result<Option<Slot>, String> {
        let argument_key = key(argument.name.as_str());
        let found = self.inputs.iter().position(|input| input.is_named(&argument_key, self.field_words));
        let kind = self.schema.kind(argument.ty.inner_named_type().as_str());
        if let (Kind::Input(definitions), false) = (&kind, argument.ty.is_list()) {
            return match self.object(definitions, found, depth) {
                Err(missing) if argument.is_required() => Err(missing),
                Err(_) => Ok(None),
                Ok(slot) => Ok(slot),
            };
        }
        let index = found.or_else(|| self.similar(argument, siblings));
        let Some((index, input)) = index.and_then(|index| Some((index, self.inputs.get(index)?))) else {
            return Ok(None);
        };
        if !fits(input, &kind, argument.ty.is_list()) {
            return Ok(None);
        }
        let each = match self.each(argument, input, depth) {
            Err(missing) if argument.is_required() => return Err(missing),
            Err(_) => return Ok(None),
            Ok(each) => each,
        };
        let mut variable = Variable::new(input);
        if found.is_none() {
            variable
                .notes
                .push(format!("{} was taken for {}, by a similar name", input.place, argument.name));
        }
        variable.describe(argument, &kind);
        variable.settings.extend(each);
        Ok(Some(Slot { value: variable.value(), notes: variable.notes, used: vec![index] }))
    }

    /// Fills in an input object: from the object of this name in the body, or from all inputs.
    fn object(
        &self,
        definitions: &[&InputValueDefinition],
        found: Option<usize>,
        depth: usize,
    ) -> Result<Option<Slot>, String> {
        if depth >= MAX_OBJECTS {
            return Ok(None);
        }
        let own = found.and_then(|index| {
            let input = self.inputs.get(index).filter(|input| input.parameter.is_none())?;
            match input.schema.form() {
                Form::Object(properties) => Some((index, fields(&input.place, &properties))),
                _ => None,
            }
        });
        let inputs = own.as_ref().map_or(self.inputs, |(_, inputs)| inputs.as_slice());
        let slot = Planner { inputs, ..*self }.fields(definitions, depth)?;
        Ok(slot.map(|slot| match own {
            Some((index, _)) => Slot { used: vec![index], ..slot },
            None => slot,
        }))
    }

    /// Fills in the fields of an input object from the inputs.
    fn fields(&self, definitions: &[&InputValueDefinition], depth: usize) -> Result<Option<Slot>, String> {
        let siblings: Vec<String> = definitions.iter().map(|field| key(field.name.as_str())).collect();
        let mut lines = Vec::new();
        let mut used = Vec::new();
        for field in definitions {
            match self.slot(field, &siblings, depth + 1)? {
                Some(slot) => {
                    lines.extend(slot.notes.iter().map(Line::decide));
                    lines.push(Line::field(field.name.as_str(), slot.value));
                    used.extend(slot.used);
                }
                None if field.is_required() => {
                    return Err(format!("the field {} of the input has no counterpart", field.name));
                }
                None => {}
            }
        }
        if lines.is_empty() {
            return Ok(None);
        }
        let value = Yaml::Block(vec![Line::field("fields", Yaml::Block(lines))]);
        Ok(Some(Slot { value, notes: Vec::new(), used }))
    }

    /// Returns the setting by which the items of a list of objects become a list of input objects; `None` if the
    /// input is no such list.
    fn each(
        &self,
        argument: &InputValueDefinition,
        input: &Input<'_>,
        depth: usize,
    ) -> Result<Option<Line>, String> {
        if !argument.ty.is_list() || argument.ty.item_type().is_list() || depth >= MAX_OBJECTS {
            return Ok(None);
        }
        let Kind::Input(definitions) = self.schema.kind(argument.ty.inner_named_type().as_str()) else {
            return Ok(None);
        };
        let Form::List(item) = input.schema.form() else { return Ok(None) };
        let Form::Object(properties) = item.form() else { return Ok(None) };
        // The places of their fields begin at the item.
        let inputs = fields("", &properties);
        let slot = Planner { schema: self.schema, inputs: &inputs, field_words: self.field_words }
            .fields(&definitions, depth)?;
        Ok(slot.map(|slot| Line::field("each", slot.value)))
    }

    /// Returns the input with the most similar name that no other argument has.
    fn similar(&self, argument: &InputValueDefinition, siblings: &[String]) -> Option<usize> {
        let is_free = |input: &Input<'_>| {
            !input.is_path() && !siblings.iter().any(|sibling| input.is_named(sibling, self.field_words))
        };
        let alike = |(index, input): (usize, &Input<'_>)| {
            Some((similarity(&input.name, argument.name.as_str()).filter(|_| is_free(input))?, index))
        };
        let found = self.inputs.iter().enumerate().filter_map(alike).max_by(|a, b| a.0.total_cmp(&b.0));
        found.map(|(_, index)| index)
    }
}

/// Returns true if an adapter can make an argument of this kind out of the input.
fn fits(input: &Input<'_>, kind: &Kind<'_>, is_list: bool) -> bool {
    let is_body = input.parameter.is_none();
    match (input.schema.form(), kind) {
        (_, Kind::Object | Kind::Union) => false,
        // Objects are passed on with the names that they have.
        (_, Kind::Input(_)) => is_body,
        (Form::Object(_), kind) => is_body && matches!(kind, Kind::Custom),
        (Form::List(_), kind) => is_list || (is_body && matches!(kind, Kind::Custom)),
        (Form::Scalar(_) | Form::Unknown, _) => true,
    }
}

/// Returns the scalar of a value, or of the items of a list.
fn scalar(input: &Input<'_>) -> Option<Scalar> {
    match input.schema.form() {
        Form::Scalar(scalar) => Some(scalar),
        Form::List(item) => match item.form() {
            Form::Scalar(scalar) => Some(scalar),
            _ => None,
        },
        Form::Object(_) | Form::Unknown => None,
    }
}

/// A variable while it is described.
struct Variable<'i, 'd> {
    input: &'i Input<'d>,
    /// The settings besides `from`.
    settings: Vec<Line>,
    notes: Vec<String>,
}

impl<'i, 'd> Variable<'i, 'd> {
    fn new(input: &'i Input<'d>) -> Self {
        Self { input, settings: Vec::new(), notes: Vec::new() }
    }

    fn value(&self) -> Yaml {
        if self.settings.is_empty() {
            return Yaml::text(&self.input.place);
        }
        let from = Line::text("from", &self.input.place);
        Yaml::Block(std::iter::once(from).chain(self.settings.iter().cloned()).collect())
    }

    fn set(&mut self, name: &str, value: impl ToString) {
        self.settings.push(Line::field(name, Yaml::Scalar(value.to_string())));
    }

    /// Adds what the two interfaces say about the value.
    fn describe(&mut self, argument: &InputValueDefinition, kind: &Kind<'_>) {
        let is_list = argument.ty.is_list();
        if is_list && self.input.parameter.is_some() && self.input.is_joined {
            self.set("split", "\",\"");
        }
        if matches!(kind, Kind::Id | Kind::Text) && scalar(self.input) == Some(Scalar::Integer) {
            self.set("integer", true);
        }
        if !is_list {
            self.limits(kind);
        }
        match kind {
            Kind::Enum(names) => self.names(names),
            kind => self.types(argument, kind),
        }
        self.presence(argument, kind, is_list);
    }

    /// Adds the limits of numbers, and of the lengths of strings.
    fn limits(&mut self, kind: &Kind<'_>) {
        let names = match (kind, scalar(self.input)) {
            (Kind::Int | Kind::Float, Some(Scalar::Integer | Scalar::Number)) => ["minimum", "maximum"],
            (Kind::Text, Some(Scalar::Text)) => ["minLength", "maxLength"],
            _ => return,
        };
        for (setting, name) in ["min", "max"].into_iter().zip(names) {
            if let Some(limit) = self.input.schema.limit(name) {
                self.set(setting, limit);
            }
        }
    }

    /// Notes types of the body that the new interface does not take. Values from elsewhere are
    /// strings, which are parsed.
    fn types(&mut self, argument: &InputValueDefinition, kind: &Kind<'_>) {
        let Some(scalar) = scalar(self.input).filter(|_| self.input.parameter.is_none()) else { return };
        let is_fit = match kind {
            Kind::Int | Kind::Float => matches!(scalar, Scalar::Integer | Scalar::Number),
            Kind::Text => scalar == Scalar::Text,
            Kind::Id => matches!(scalar, Scalar::Text | Scalar::Integer),
            Kind::Boolean => scalar == Scalar::Boolean,
            _ => true,
        };
        if !is_fit {
            let Input { place, schema, .. } = self.input;
            let (old, name, new) = (schema.written(), &argument.name, &argument.ty);
            self.notes.push(format!("{place} is {old}, and {name} is {new}: such requests are answered 400"));
        }
    }

    /// Adds the table from the old values of an enum to the new names.
    fn names(&mut self, names: &[&str]) {
        let place = &self.input.place;
        let values = match self.input.schema.form() {
            Form::List(item) => item.enum_values(),
            _ => self.input.schema.enum_values(),
        };
        if values.is_empty() {
            let names = names.join(", ");
            self.notes
                .push(format!("{place} must be one of {names}; add map: if the old values were others"));
            return;
        }
        let found = |value: &&str| names.iter().find(|name| key(name) == key(value)).copied();
        let lost: Vec<&str> = values.iter().filter(|value| found(value).is_none()).copied().collect();
        if !lost.is_empty() {
            let lost = lost.join(", ");
            self.notes.push(format!("the values {lost} of {place} have no counterpart and are answered 400"));
        }
        if values.iter().any(|value| !names.contains(value)) {
            let pairs = values.iter().filter_map(|value| Some(Line::text(value, found(value)?)));
            let pairs: Vec<Line> = pairs.collect();
            if !pairs.is_empty() {
                self.settings.push(Line::field("map", Yaml::Block(pairs)));
            }
        }
    }

    /// Adds the default, and `required` where only the old interface needs the value.
    fn presence(&mut self, argument: &InputValueDefinition, kind: &Kind<'_>, is_list: bool) {
        let (place, name) = (&self.input.place, &argument.name);
        let old = self.input.schema.default_value().filter(|_| !self.input.is_required);
        match (old, old.filter(|_| !is_list).and_then(|old| default(old, kind))) {
            (_, Some(default)) => self.set("default", default),
            (Some(old), None) => self.notes.push(format!("the default {old} of {place} is not taken over")),
            (None, None) if self.input.is_required && !self.input.is_path() && !argument.is_required() => {
                self.set("required", true);
            }
            (None, None) if argument.is_required() && !self.input.is_required => {
                self.notes.push(format!(
                    "{place} was optional, but {name} is not: give a default, or requests without it are answered 400"
                ));
            }
            (None, None) => {}
        }
    }
}

/// Returns a default of the old interface as JSON, in the form of the new one; `None` if that does not
/// take it.
fn default(old: &Value, kind: &Kind<'_>) -> Option<String> {
    if let Kind::Enum(names) = kind {
        let written = key(old.as_str()?);
        return names.iter().find(|name| key(name) == written).map(|name| (*name).to_owned());
    }
    let is_fit = match kind {
        Kind::Int => old.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        Kind::Float => old.is_number(),
        Kind::Text => old.is_string(),
        Kind::Id => old.is_string() || old.is_i64(),
        Kind::Boolean => old.is_boolean(),
        _ => false,
    };
    is_fit.then(|| old.to_string())
}
