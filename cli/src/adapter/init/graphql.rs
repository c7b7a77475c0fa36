//! The GraphQL schema of the new interface, as far as an adapter needs it.

use apollo_compiler::{
    Schema,
    ast::{FieldDefinition, InputValueDefinition},
    schema::{Component, ExtendedType},
};

/// A schema.
#[derive(Debug, Clone, Copy)]
pub struct NewSchema<'s> {
    schema: &'s Schema,
}

/// The kind of a type.
#[derive(Debug, Clone)]
pub enum Kind<'s> {
    /// An object or an interface.
    Object,
    /// A union, which has no fields of its own.
    Union,
    /// An input object with these fields.
    Input(Vec<&'s InputValueDefinition>),
    /// An enum with these names.
    Enum(Vec<&'s str>),
    /// A whole number of 32 bits.
    Int,
    /// A number.
    Float,
    /// A string.
    Text,
    /// A string that identifies something.
    Id,
    /// A bool.
    Boolean,
    /// A scalar that only the backend knows.
    Custom,
}

impl Kind<'_> {
    /// Returns true for scalars and enums.
    pub fn is_leaf(&self) -> bool {
        !matches!(self, Self::Object | Self::Union | Self::Input(_))
    }
}

impl<'s> NewSchema<'s> {
    /// Wraps a schema.
    pub fn new(schema: &'s Schema) -> Self {
        Self { schema }
    }

    /// Returns the fields of the query type, or of the mutation type.
    pub fn operations(self, is_query: bool) -> Vec<&'s FieldDefinition> {
        let definition = &self.schema.schema_definition;
        let root = if is_query { &definition.query } else { &definition.mutation };
        root.as_ref().map(|root| self.all_fields(root.name.as_str())).unwrap_or_default()
    }

    /// Returns the fields of an object or interface that need no argument.
    pub fn fields(self, type_name: &str) -> Vec<&'s FieldDefinition> {
        let mut fields = self.all_fields(type_name);
        fields.retain(|field| !field.arguments.iter().any(|argument| argument.is_required()));
        fields
    }

    /// Returns the kind of a type, without its lists.
    pub fn kind(self, type_name: &str) -> Kind<'s> {
        match self.schema.types.get(type_name) {
            Some(ExtendedType::Object(_) | ExtendedType::Interface(_)) => Kind::Object,
            Some(ExtendedType::Union(_)) => Kind::Union,
            Some(ExtendedType::InputObject(input)) => {
                Kind::Input(input.fields.values().map(input_field).collect())
            }
            Some(ExtendedType::Enum(names)) => {
                Kind::Enum(names.values.keys().map(|name| name.as_str()).collect())
            }
            Some(ExtendedType::Scalar(_)) | None => match type_name {
                "Int" => Kind::Int,
                "Float" => Kind::Float,
                "String" => Kind::Text,
                "ID" => Kind::Id,
                "Boolean" => Kind::Boolean,
                _ => Kind::Custom,
            },
        }
    }

    fn all_fields(self, type_name: &str) -> Vec<&'s FieldDefinition> {
        match self.schema.types.get(type_name) {
            Some(ExtendedType::Object(object)) => object.fields.values().map(field).collect(),
            Some(ExtendedType::Interface(interface)) => interface.fields.values().map(field).collect(),
            _ => Vec::new(),
        }
    }
}

fn field(component: &Component<FieldDefinition>) -> &FieldDefinition {
    component
}

fn input_field(component: &Component<InputValueDefinition>) -> &InputValueDefinition {
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_kinds_are_read_from_the_schema() {
        let text = "type Query { user(id: ID!): User users: [User!]! }\n\
                    type User { id: ID! kind: Kind age: Int born: Date friends(first: Int!): [User!]! tags(n: Int): [String] }\n\
                    enum Kind { A B }\n\
                    scalar Date\n\
                    union Any = User\n\
                    input Filter { name: String! }\n";
        let parsed = Schema::parse_and_validate(text, "schema.graphql").unwrap();
        let schema = NewSchema::new(&parsed);
        let names = |fields: Vec<&FieldDefinition>| -> Vec<String> {
            fields.iter().map(|field| field.name.to_string()).collect()
        };
        assert_eq!(names(schema.operations(true)), ["user", "users"]);
        assert!(schema.operations(false).is_empty());
        assert_eq!(names(schema.fields("User")), ["id", "kind", "age", "born", "tags"]);
        assert!(matches!(schema.kind("Kind"), Kind::Enum(names) if names == ["A", "B"]));
        assert!(matches!(schema.kind("Filter"), Kind::Input(fields) if fields.len() == 1));
        assert!(matches!(schema.kind("Date"), Kind::Custom) && schema.kind("Date").is_leaf());
        assert!(matches!(schema.kind("Any"), Kind::Union) && !schema.kind("Any").is_leaf());
        assert!(matches!(schema.kind("ID"), Kind::Id) && matches!(schema.kind("User"), Kind::Object));
    }
}
