"""Recipes, one a family, and the steps they share. The only room with torch."""
