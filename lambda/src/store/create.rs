//! Creation of the tables, for local stacks and tests. Deployments use Terraform.

use crate::store::{error::StoreError, keys, table::Store, transaction::build};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification,
};

/// Attribute of the key of a table.
#[derive(Debug)]
pub(super) struct KeyAttribute {
    /// Name of the attribute.
    pub(super) name: &'static str,
    /// Type of its values.
    pub(super) kind: ScalarAttributeType,
}

/// Primary key of a table.
#[derive(Debug)]
pub(super) struct TableKey {
    /// Partition key.
    pub(super) partition: KeyAttribute,
    /// Sort key.
    pub(super) sort: KeyAttribute,
}

impl Store {
    /// Creates the tables if they do not exist.
    ///
    /// # Errors
    ///
    /// Fails if DynamoDB cannot be reached or rejects a table.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        self.create_arrivals().await?;
        let key = TableKey {
            partition: KeyAttribute { name: keys::PARTITION, kind: ScalarAttributeType::S },
            sort: KeyAttribute { name: keys::SORT, kind: ScalarAttributeType::S },
        };
        self.create(&self.table, key, None).await
    }

    /// Creates a table if it does not exist.
    ///
    /// # Errors
    ///
    /// Fails if DynamoDB cannot be reached or rejects the table.
    pub(super) async fn create(
        &self,
        table: &str,
        key: TableKey,
        stream: Option<StreamSpecification>,
    ) -> Result<(), StoreError> {
        let mut create = self
            .client
            .create_table()
            .table_name(table)
            .billing_mode(BillingMode::PayPerRequest)
            .set_stream_specification(stream);
        for (KeyAttribute { name, kind }, role) in
            [(key.partition, KeyType::Hash), (key.sort, KeyType::Range)]
        {
            let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
            let element = KeySchemaElement::builder().attribute_name(name).key_type(role).build();
            create = create.attribute_definitions(build(attribute)?).key_schema(build(element)?);
        }
        match create.send().await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
