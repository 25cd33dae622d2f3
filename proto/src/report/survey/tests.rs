use super::Survey;
